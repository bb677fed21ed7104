"""A step of a run and an erasure: what was read before it is not written after it, and is made again from what is left."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from records.errors import ErasedMeanwhile
from resources.lake_io import ATTEMPTS

if TYPE_CHECKING:
    from memory_assets.tools import Tools

Step = TypeVar("Step", bound=Callable[..., Any])


@contextlib.contextmanager
def fenced(context: dg.AssetExecutionContext, tools: Tools) -> Iterator[None]:
    """Let a step begin to read here, if it has not read anything yet; one that an erasure overtook is asked for again."""
    step = context.op_execution_context
    tools.fence.reading((step.run_id, step.op.name, step.retry_number))
    with again_if_erased():
        yield


@contextlib.contextmanager
def again_if_erased() -> Iterator[None]:
    """Ask Dagster to make a step again that an erasure overtook."""
    try:
        yield
    except ErasedMeanwhile as error:
        raise dg.RetryRequested(max_retries=ATTEMPTS) from error


def fenced_step(made: Step) -> Step:
    """Return an asset's function as one that is asked for again where an erasure overtook it.

    One without ``tools`` reads and writes nothing by itself: its inputs are read, and its output is written, by the IO manager.
    """

    @functools.wraps(made)
    def body(context: dg.AssetExecutionContext, **given: Any) -> Any:
        with fenced(context, given["tools"]) if "tools" in given else again_if_erased():
            return made(context, **given)

    return body  # type: ignore[return-value]  # the same signature, which Dagster reads through `functools.wraps`
