"""Which regions of a face follow its driver."""

from dataclasses import dataclass, fields

from fantasyportrait.schema.checks import check_bool


@dataclass(frozen=True)
class Regions:
    """The four switches of a role; a region that is off keeps the portrait's own look.

    Attributes:
        head: rotation and shift of the head.
        eyes: lids and gaze.
        emotion: brows and cheeks.
        mouth: lips and jaw.
    """

    head: bool = True
    eyes: bool = True
    emotion: bool = True
    mouth: bool = True

    def __post_init__(self) -> None:
        for name in REGION_NAMES:
            check_bool(f"the region {name}", getattr(self, name))


REGION_NAMES = tuple(field.name for field in fields(Regions))
