"""gradlaws finds every quantity that gradient training conserves, and proves that there are no others."""

from gradlaws.errors import GradlawsError
from gradlaws.geometry.components import components
from gradlaws.geometry.diffusion import diffuse
from gradlaws.laws.answer import count, laws
from gradlaws.laws.certificate import Certificate, certify
from gradlaws.laws.count import Count, Status
from gradlaws.laws.law import Law
from gradlaws.laws.result import Answer
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.models.quiver import QuiverNetwork
from gradlaws.models.radial import RadialMLP
from gradlaws.symmetry.balance import balance_
from gradlaws.symmetry.compress import compress
from gradlaws.symmetry.distance import orbit_distance
from gradlaws.symmetry.symmetries import symmetries
from gradlaws.training.track import track

__version__ = "0.1.0"

__all__ = [
    # the questions
    "count",
    "laws",
    "certify",
    # what a real run makes of them
    "track",
    # the groups behind the laws, and what they are good for
    "symmetries",
    "balance_",
    "orbit_distance",
    "compress",
    # the geometry of training
    "components",
    "diffuse",
    # what they are asked about
    "Family",
    "Network",
    "RadialMLP",
    "QuiverNetwork",
    # what they answer
    "Answer",
    "Certificate",
    "Count",
    "Law",
    "Status",
    # what can go wrong; its kinds are in gradlaws.errors
    "GradlawsError",
]
