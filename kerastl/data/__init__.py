"""Sources of examples, one file each; `pipeline` is the only place that writes tf.data code."""

import pkgutil

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])
