"""Django finds the models of this package here. Import a model from its room, such as `cataract.ops.notices.models`."""

from cataract.accounts import models as accounts
from cataract.ops.notices import models as notices

__all__ = ["accounts", "notices"]
