"""Packaging: the stages live at the repository's root and are installed inside ``reactkd_auto``."""

from pathlib import Path

from setuptools import find_packages, setup

STAGES = ("dataset_conversion", "planning", "training", "inference")
KERNEL = find_packages(include=["reactkd_auto", "reactkd_auto.*"], exclude=[f"reactkd_auto.{s}*" for s in STAGES])
STAGE_PACKAGES = [f"reactkd_auto.{p}" for p in find_packages(include=[q for s in STAGES for q in (s, f"{s}.*")])]
COMMANDS = {
    "reactkd_plan_and_preprocess": "planning.command",
    "reactkd_degrade": "planning.degrade.command",
    "reactkd_pretrain": "training.pretrain_command",
    "reactkd_train": "training.command",
    "reactkd_predict": "inference.command",
    "reactkd_evaluate": "inference.evaluate_command",
    "reactkd_export_model": "inference.export_command",
    "reactkd_export_onnx": "inference.export_onnx_command",
    "reactkd_install_model": "inference.install_command",
    "reactkd_verify_dataset": "dataset_conversion.verify_command",
    "reactkd_convert_dicom": "dataset_conversion.dicom.command",
    "reactkd_convert_hcc_tace_seg": "dataset_conversion.hcc_tace_seg",
    "reactkd_convert_lits": "dataset_conversion.lits",
    "reactkd_convert_hecktor": "dataset_conversion.hecktor",
    "reactkd_convert_autopet": "dataset_conversion.autopet",
    "reactkd_convert_sts_tcia": "dataset_conversion.sts_tcia",
    "reactkd_convert_sts": "dataset_conversion.sts",
    "reactkd_convert_lidc": "dataset_conversion.lidc",
    "reactkd_convert_medmnist3d": "dataset_conversion.medmnist3d",
    "reactkd_make_regions": "dataset_conversion.region_making.command",
    "reactkd_make_demo_dataset": "dataset_conversion.demo_command",
    "reactkd_demo": "commands.demo",
    "reactkd_ablate": "commands.ablate.command",
    "reactkd_benchmark": "commands.benchmark.command",
}

setup(
    name="reactkd_auto",
    version="0.1.0",
    description="Self-configuring PET/CT to CT-only tumour classification by dual-teacher, region-graph distillation",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*KERNEL, *STAGE_PACKAGES],
    package_dir={f"reactkd_auto.{s}": s for s in STAGES},
    package_data={
        "reactkd_auto": ["py.typed"],
        "reactkd_auto.planning.degrade": ["templates/*.html"],
        "reactkd_auto.planning.report": ["templates/*.html"],
        "reactkd_auto.commands.ablate": ["templates/*.html"],
        "reactkd_auto.training": ["presets/*.json", "presets/teachers/*.json"],
        "reactkd_auto.inference": ["templates/*", "templates/niivue/*"],
    },
    install_requires=[
        "torch>=2.8,!=2.9.*",  # networks, dose physics; 2.9 has 3D-convolution regressions
        "SimpleITK>=2.4",  # medical image files, resampling by physical position
        "batchgenerators>=0.25",  # loading and multi-process scheduling of training batches
        "numpy>=2.0",
        "scipy>=1.14",  # morphology, optimisation, statistics
        "acvl-utils>=0.2.3,<0.3",  # connected components as nnU-Net does them; 0.3 is untested
        "isal>=1.7",  # unpacks .nii.gz 2.5 times faster than zlib; 0.5 MB, pulls nothing
        "nibabel>=5.2",  # NIfTI header checks before pixels are read
        "openpyxl>=3.1",  # clinical tables as archives ship them (.xlsx); pure Python
        "pydicom>=3.0.1",  # DICOM headers with nested sequences, RTSTRUCT, SEG; pure Python, pulls nothing
        "tqdm>=4.66",  # progress bars
        "monai>=1.6,<2",  # SegResEncoder, SwinTransformer
        "einops>=0.8",  # needed by MONAI's transformers and by readable reshapes
        "blosc2>=3.0",  # compressed arrays with fast partial reads
        "connected-components-3d>=3.18",  # components 3.7 times faster than scipy's
        "scikit-learn>=1.5",  # metrics, logistic regression baselines
        "scikit-image>=0.24",  # contours for pictures, supervoxels
        "pandas>=2.2",  # tables
        "crepes>=0.9",  # conformal p-values from stored scores; 45 kB, needs only numpy, scipy and pandas
        "matplotlib>=3.9",  # pictures
        "Jinja2>=3.1",  # HTML reports
        "safetensors>=0.5",  # weights without pickle
    ],
    extras_require={
        "dicom": ["highdicom>=0.28"],  # --dicom: structured report, SEG, parametric map; pulls pyjpegls only
        # reactkd_export_onnx and --backend onnx: 36 MB of wheels; onnxscript is what torch exports with
        "onnx": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
        "openvino": ["openvino>=2025.0"],  # --backend openvino: a 59 MB wheel
        "ray": ["ray>=2.40"],  # --engine ray: cases on a cluster
        "dev": [
            "ruff>=0.9",
            "mypy>=1.14",
            "pytest>=8",
            "pytest-cov>=6",
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "POT>=0.9.6,<0.9.7",
            "captum>=0.8",
            "build>=1.2",
            "highdicom>=0.28",
            "ray>=2.40",
            "onnx>=1.18",
            "onnxruntime>=1.22",
            "onnxscript>=0.5",
            "openvino>=2025.0",
        ],
    },
    entry_points={"console_scripts": [f"{name} = reactkd_auto.{module}:main" for name, module in COMMANDS.items()]},
)
