"""A process that leaves again and again is started ever more rarely."""

from trunkline.host.backoff import Backoff


def test_it_doubles_up_to_the_most() -> None:
    backoff = Backoff(first=0.2, most=10)
    assert [backoff.after(0.1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_a_healthy_life_makes_it_start_anew() -> None:
    backoff = Backoff(first=0.2, most=10, healthy=30)
    for _ in range(5):
        backoff.after(0.1)
    assert [backoff.after(31), backoff.after(1)] == [0.2, 0.4]
