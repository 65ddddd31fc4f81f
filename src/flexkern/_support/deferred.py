"""Parts that are configured first and built once their layer knows the sizes."""

import functools
import inspect
from typing import Any


class Deferred(type):
    """Metaclass: a class that is called with options alone returns a factory instead of an instance.

    A user writes ``FlexConv2d(16, 32, 33, generator=MAGNet(hidden=64))``, and the layer supplies the number of axes
    and channels. Once every required argument is present, the class builds an instance as usual. Options are checked
    at once, so that a misspelt one fails where it was written.

    Example:
        >>> class Part(metaclass=Deferred):
        ...     def __init__(self, dims, *, hidden=32):
        ...         self.dims, self.hidden = dims, hidden
        >>> Part(hidden=8)(2).hidden
        8
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        try:
            signature.bind(None, *args, **kwargs)
        except TypeError:
            signature.bind_partial(None, *args, **kwargs)  # raises if an option does not exist
            if args:
                raise
            return functools.partial(cls, **kwargs)
        return super().__call__(*args, **kwargs)
