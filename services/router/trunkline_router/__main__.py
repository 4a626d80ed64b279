"""`python -m trunkline_router`"""

from trunkline.service import serve
from trunkline.service.logs import configure_logs
from trunkline.service.starting import from_environment
from trunkline_router.app import router_service
from trunkline_router.settings import RouterSettings


def main() -> None:
    settings = from_environment(RouterSettings, "router")
    # already here: which classifier is taken is logged while the service is put together
    configure_logs("router", format=settings.log_format, level=settings.log_level)
    serve(router_service(settings))


if __name__ == "__main__":
    main()
