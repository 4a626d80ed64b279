"""`python -m trunkline_router`"""

from trunkline.service import serve
from trunkline_router.app import router_service
from trunkline_router.settings import RouterSettings


def main() -> None:
    serve(router_service(RouterSettings()))


if __name__ == "__main__":
    main()
