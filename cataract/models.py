"""Django finds the models of this package here. Import a model from its room, such as `cataract.core.audit.models`."""

from cataract.accounts import models as accounts
from cataract.core.audit import models as audit
from cataract.ops.installation import models as installation
from cataract.ops.notices import models as notices
from cataract.ops.upgrades import models as upgrades

__all__ = ["accounts", "audit", "installation", "notices", "upgrades"]
