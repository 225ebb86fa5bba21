"""Networks built from a plan: teachers, student, localiser, and the soft regions that they are read out over."""

from .builders import build_localiser, build_segmenter, build_student, build_teachers, student_channels
from .covariates import CovariateBranch
from .describe import describe
from .fusion import compile_branches
from .localiser import LOCALISER_BATCH_SIZE, Localiser, localiser_classes
from .outputs import GraphInputs, Outputs, TeacherOutputs
from .pooling import graph_inputs
from .segmenter import Segmenter
from .student import Student
from .teachers import Teachers
from .weights import load_state, load_weights, save_state, save_weights

__all__ = [
    "LOCALISER_BATCH_SIZE",
    "CovariateBranch",
    "GraphInputs",
    "Localiser",
    "Outputs",
    "Segmenter",
    "Student",
    "TeacherOutputs",
    "Teachers",
    "build_localiser",
    "build_segmenter",
    "build_student",
    "build_teachers",
    "compile_branches",
    "describe",
    "graph_inputs",
    "load_state",
    "load_weights",
    "localiser_classes",
    "save_state",
    "save_weights",
    "student_channels",
]
