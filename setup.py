"""Package metadata. The core reads ntuples, makes datasets and runs ONNX models without torch; extras add the rest."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "awkward>=2.6",
    "cramjam>=2.5",
    "jinja2>=3.1",
    "matplotlib>=3.8",
    "mplhep>=0.3",
    "networkx>=3.4",
    "numba>=0.60",
    "numpy>=1.26",
    "onnx>=1.16",
    "onnxruntime>=1.17.1",
    "plotly>=6.0",
    "pot>=0.9.5",
    "pyarrow>=15",
    "pydantic>=2.7",
    "pyyaml>=6.0",
    "rich>=13",
    "scipy>=1.12",
    "typer>=0.12",
    "uproot>=5.5",
    "xxhash>=3.0",
]
EXTRAS = {
    "train": ["lightning>=2.4", "onnxscript>=0.3", "safetensors>=0.4.3", "tensorboard>=2.16", "torch>=2.6", "torch-geometric>=2.6"],
    "simulate": ["pythia8mc>=8.310,<8.318"],
    "track": ["mlflow>=2.16"],
    "tune": ["optuna>=4.0"],
    "cluster": ["dask[distributed]>=2024.5", "dask-jobqueue>=0.9"],
    "dev": [
        "fastjet>=3.5",
        "hypothesis>=6.100",
        "ipykernel>=6.29",
        "mlflow-skinny>=2.16",
        "mypy>=1.11",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "playwright>=1.50",
        "pre-commit>=3.7",
        "pytest>=8.2",
        "pytest-xdist>=3.6",
        "ruff>=0.6",
        "scipy-stubs",
        "types-PyYAML",
    ],
}

setup(
    name="mlpf",
    version="0.1.0",
    description="Machine-learned particle flow: ntuples to graph datasets to a graph neural network to ONNX candidates",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["mlpf", "mlpf.*"]),
    package_data={
        "mlpf": [
            "py.typed",
            "classical/calibration.json",
            "export/contract_events.npz",
            "simulation/calorimeter/calibration.json",
            "plotting/report/page.*",
            "plotting/display/assets/*",
            "producer/cpp/*",
        ]
    },
    python_requires=">=3.11",
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["mlpf = mlpf.cli.main:main"]},
)
