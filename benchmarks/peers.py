"""Peers for comparison, in a folder of their own: their requirements never touch this project's environment."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

FOLDER = Path("work/peers")
# Without dependencies: a plain installation would bring another torch with several GB of CUDA.
PACKAGES = {
    "openretina": [
        "openretina==1.1.1",
        "einops==0.8.1",
        "jaxtyping==0.3.2",
        "wadler-lindig==0.1.7",
        "hydra-core==1.3.2",
        "omegaconf==2.3.0",
        "antlr4-python3-runtime==4.9.3",
        "huggingface_hub==0.34.4",
        "lightning==2.5.5",
        "tenacity==9.1.2",
    ]
}

# Imported on the way for plots and films; training uses none of them.
UNUSED = {"openretina": ["seaborn", "moviepy", "cv2", "IPython", "IPython.display", "IPython.core.interactiveshell"]}


def install(name: str, folder: Path = FOLDER) -> None:
    """Install a peer once."""
    target = folder / name
    if not target.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *PACKAGES[name]]
        subprocess.run(command, check=True)


def use(name: str, folder: Path = FOLDER) -> None:
    """Let this process import a peer; what both have comes from this project's environment."""
    sys.path.append(str(folder / name))
    sys.modules |= {module: MagicMock() for module in UNUSED[name]}
