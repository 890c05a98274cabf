"""Tests the declarations of a sender about a file."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.declarations import Declarations


@given(percent=st.integers(0, 100), hundreds=st.integers(1, 10_000))
def test_exactly_the_declared_share_of_rows_may_be_rejected(percent: int, hundreds: int) -> None:
    most = Declarations.of({"max-rejected": f"{percent}%"}).max_rejected
    assert most is not None
    received, allowed = 100 * hundreds, percent * hundreds
    assert not most.exceeded_by(allowed, received)
    assert most.exceeded_by(allowed + 1, received)
    assert str(most) == f"{percent}%"
