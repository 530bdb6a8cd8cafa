"""Which regions of a face follow its driver."""

from dataclasses import dataclass, fields
from typing import Annotated

from fantasyportrait.schema.checks import check_bool
from fantasyportrait.schema.options import Option


@dataclass(frozen=True)
class Regions:
    """The four switches of a role; a region that is off keeps the portrait's own look."""

    head: Annotated[bool, Option("Rotation and shift of the head follow the driver", "regions")] = True
    eyes: Annotated[bool, Option("Lids and gaze follow the driver", "regions")] = True
    emotion: Annotated[bool, Option("Brows and cheeks follow the driver", "regions", "Brows and emotion")] = True
    mouth: Annotated[bool, Option("Lips and jaw follow the driver", "regions")] = True

    def __post_init__(self) -> None:
        for name in REGION_NAMES:
            check_bool(f"the region {name}", getattr(self, name))


REGION_NAMES = tuple(field.name for field in fields(Regions))
