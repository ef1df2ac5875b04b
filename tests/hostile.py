"""Broken and hostile raw files: every reader either reads one or says in a RecordingError what is wrong with it.

``python -m tests.hostile READER COUNT`` tries many; the tests try a few. Each batch of files runs in a process of its own, whose
memory and time are limited, so that a crash of a library is seen as one.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat, savemat

from tests import formats

MEMORY = 3 * 2**30  # address space beyond what the libraries take, bytes
SECONDS = 20  # for one file
BATCH = 100
SESSION = formats.session(240, 60)
CUT = {"history": 100, "skip": 0.1, "guard_gap": 0.05, "validation_fraction": 0.2, "check_lag": False}

Mutation = Callable[[Path, np.random.Generator], None]

WRITE = {
    "stanford": lambda folder: formats.stanford(folder / "noise.h5", SESSION),
    "openretina": lambda folder: formats.openretina(folder / "session.h5", SESSION),
    "arrays": lambda folder: formats.arrays(folder / "plain", SESSION, text=folder.name.endswith("1")),
    "matlab": lambda folder: formats.matlab(folder / "plain", SESSION, new=folder.name.endswith("1")),
    "phy": lambda folder: formats.phy(folder / "plain", SESSION),
    "nwb": lambda folder: formats.nwb(folder / "session.nwb", SESSION, index=folder.name.endswith("1")),
}
SETTINGS = {
    "stanford": {"blocks": 1},
    "openretina": {"frame_rate": formats.RATE, "responses": "count"},
    "arrays": {},
    "matlab": {},
    "phy": {},
    "nwb": {},
}
READERS = {"matlab": "arrays"}  # of formats that are called otherwise


def files(path: Path) -> list[Path]:
    """The files that a recording is made of."""
    folder = path if path.is_dir() else path.parent
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def one(path: Path, rng: np.random.Generator) -> Path:
    return files(path)[rng.integers(len(files(path)))]


def truncated(path: Path, rng: np.random.Generator) -> None:
    file = one(path, rng)
    os.truncate(file, int(rng.integers(file.stat().st_size + 1)))


def bits_flipped(path: Path, rng: np.random.Generator) -> None:
    file = one(path, rng)
    content = bytearray(file.read_bytes())
    # Where the structure is, mostly: headers are at the beginning.
    size = min(len(content), int(rng.choice([64, 2000, 20000, 10**9])))
    for _ in range(int(rng.integers(1, 20))):
        if size:
            content[rng.integers(size)] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)


def garbled(path: Path, rng: np.random.Generator) -> None:
    file = one(path, rng)
    content = bytearray(file.read_bytes())
    start = int(rng.integers(max(len(content), 1)))
    content[start : start + 64] = rng.integers(0, 256, int(rng.integers(1, 200)), np.uint8).tobytes()
    file.write_bytes(content)


def emptied(path: Path, rng: np.random.Generator) -> None:
    one(path, rng).write_bytes(b"")


def removed(path: Path, rng: np.random.Generator) -> None:
    one(path, rng).unlink()


def swapped(path: Path, rng: np.random.Generator) -> None:
    a, b = one(path, rng), one(path, rng)
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)


def linked_outside(path: Path, rng: np.random.Generator) -> None:
    file = one(path, rng)
    outside = path.parent.parent / "secret.npy"
    outside.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside if rng.integers(2) else "../" * 8 + "etc/passwd")


def linked_to_itself(path: Path, rng: np.random.Generator) -> None:
    file = one(path, rng)
    file.unlink()
    file.symlink_to(file.name)


ODD_VALUES = (np.nan, np.inf, -1.0, 1e300, -1e-9, 0.0)
ODD_NAMES = ("../../etc/passwd", "$(touch hacked)", "a;touch hacked", "`touch hacked`", "x" * 5000, "\u202ecell", "cell 1", "<b>")


def odd_array(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array of a wrong type, rank, order or size, or with values that cannot be."""
    kind = int(rng.integers(9))
    if kind == 0:
        odd = values.astype(float).ravel()
        odd[rng.integers(odd.size, size=min(3, odd.size))] = rng.choice(ODD_VALUES)
        return odd.reshape(values.shape)
    if kind == 1:
        return values[..., None] if rng.integers(2) else values.reshape(-1)
    if kind == 2:
        return values[:0]
    if kind == 3:
        return values.astype("S8") if rng.integers(2) else values.astype(complex)
    if kind == 4:
        return values[::-1].copy()
    if kind == 5:
        return values[: max(1, len(values) // 2)]
    if kind == 6:
        return np.concatenate([values, values])
    if kind == 7:
        return rng.permutation(values)
    return np.full(values.shape, rng.choice(ODD_VALUES))


def odd_dataset(path: Path, rng: np.random.Generator) -> None:
    """One dataset of an HDF5 file, or one array, replaced."""
    file = one(path, rng)
    if file.suffix == ".npy":
        np.save(file, odd_array(np.load(file), rng))
    elif file.suffix == ".csv":
        lines = file.read_text().splitlines()
        at = int(rng.integers(len(lines)))
        lines[at] = str(rng.choice(["nan", "", "a,b", "1e400", "-5", ",,,,", "\x00", "cell01,nan", *ODD_NAMES]))
        file.write_text("\n".join(lines) + "\n")
    elif file.suffix in {".py", ".tsv"}:
        text = file.read_text()
        file.write_text(
            text
            + str(
                rng.choice(
                    ["import os\n", "sample_rate = open('hacked', 'w')\n", "x = (\n", "sample_rate = -1\n", "9\tgood\t7\t\n"]
                )
            )
        )
    elif not h5py.is_hdf5(file):
        savemat(file, {"value": odd_array(loadmat(file)["value"], rng).astype(object if rng.integers(2) else float, copy=False)})
    else:
        with h5py.File(file, "a") as opened:
            name = dataset(opened, rng)
            values = opened[name][()]
            if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
                attributes = dict(opened[name].attrs)
                del opened[name]
                opened[name] = odd_array(values, rng)
                for key, value in attributes.items():
                    opened[name].attrs[key] = value
            else:
                del opened[name]


def dataset(file: h5py.File, rng: np.random.Generator) -> str:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return str(rng.choice([n for n in names if "specifications" not in n]))


def odd_structure(path: Path, rng: np.random.Generator) -> None:
    """Links, loops, absurd sizes and names in an HDF5 file, or files that claim them."""
    file = one(path, rng)
    if not h5py.is_hdf5(file):
        header = np.lib.format.header_data_from_array_1_0(np.zeros(1))
        header["shape"] = (10**12,) if rng.integers(2) else (10**6, 10**4, 10**3)
        with open(file.with_suffix(".npy") if file.suffix == ".npy" else file, "wb") as out:
            np.lib.format.write_array_header_1_0(out, header)
            out.write(b"\0" * 64)
        return
    with h5py.File(file, "a") as opened:
        name = dataset(opened, rng)
        shape, parent = opened[name].shape, opened[name].parent
        kind = int(rng.integers(8))
        short = name.rpartition("/")[2]
        if kind == 0:
            del opened[name]
            parent[short] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == 1:
            del opened[name]
            parent[short] = h5py.SoftLink(f"/{name}")
        elif kind == 2:
            parent["loop"] = opened["/"]
            del opened[name]
            parent[short] = opened["/"]
        elif kind == 3:
            del opened[name]
            opened.create_dataset(
                name, (10**9, *[50] * (len(shape) - 1)), np.uint8, chunks=(1000, *[50] * (len(shape) - 1)), compression="gzip"
            )
        elif kind == 4:
            del opened[name]
            opened.create_dataset(
                name, (10**6, *shape[1:]) if shape else (10**6,), np.float64, external=[("/etc/passwd", 0, 10**12)]
            )
        elif kind == 5:
            parent[str(rng.choice(ODD_NAMES)).replace("/", "_")] = opened[name]
            opened.move(name, f"{name}_moved")
        elif kind == 6:
            del opened[name]
            layout = h5py.VirtualLayout(shape=shape or (4,), dtype=float)
            layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape=shape or (4,))
            opened.create_virtual_dataset(name, layout)
        else:
            del opened[name]
            opened.create_dataset(
                name,
                shape or (4,),
                chunks=tuple(max(1, n) for n in shape) or (4,),
                dtype="f8",
                compression=None,
                fillvalue=np.nan,
            )


MUTATIONS: tuple[Mutation, ...] = (
    truncated,
    bits_flipped,
    garbled,
    emptied,
    removed,
    swapped,
    linked_outside,
    linked_to_itself,
    odd_dataset,
    odd_dataset,
    odd_structure,
)


def attempt(reader: str, number: int, folder: Path) -> str:
    """Mutate a recording, ingest it, and return what came of it: read, refused, or what went wrong."""
    from retmech import io, registry, schemas
    from retmech.errors import RetmechError
    from retmech.io import Provenance
    from retmech.provenance import file_digest
    from retmech.stages.ingest import ingest

    rng = np.random.default_rng([number, len(reader)])
    inner = folder / f"raw{number % 2}"
    path = inner / WRITE[reader](folder.parent / f"template-{reader}{number % 2}").relative_to(
        folder.parent / f"template-{reader}{number % 2}"
    )
    if not path.exists():
        shutil.copytree(folder.parent / f"template-{reader}{number % 2}", inner)
    mutation = MUTATIONS[number % len(MUTATIONS)]
    mutation(path, rng)
    module = registry.load("reader", READERS.get(reader, reader))
    settings = module.Config(**SETTINGS[reader], **CUT)
    before = outside(folder)
    try:
        recording = ingest({"noise": module.read(path, settings, "noise")}, settings)
        for file in getattr(module, "files", lambda path: [path])(path):
            file_digest(file)
        io.write_pieces(recording, schemas.RECORDING, folder / "out/recording.nc", Provenance())
        io.read(folder / "out/recording.nc", schemas.RECORDING)
        result = "read"
    except RetmechError as error:
        names = [file.name for file in (path, *path.rglob("*"))] if path.is_dir() else [path.name, "stimuli", path.parent.name]
        said = str(error)
        result = "refused" if any(name in said for name in [*names, "noise:", "plain", "phy"]) else f"unnamed: {said}"
        if (folder / "out/recording.nc").exists() or any((folder / "out").glob("*")):
            result = f"left a partial output: {said}"
    except Exception:
        result = f"{mutation.__name__}: {traceback.format_exc(limit=-4)}"
    if outside(folder) != before:
        result = f"wrote outside: {outside(folder) ^ before}"
    return result


def outside(folder: Path) -> set[str]:
    """Names of files around, which nothing may add to."""
    return {p.name for p in Path().iterdir()} | {p.name for p in folder.iterdir() if p.name != "out"}


def batch(reader: str, first: int, count: int) -> None:
    """Try some files in this process, and print what came of each as a line of JSON before the next begins."""
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        for kind in (0, 1):
            WRITE[reader](Path(work).resolve() / f"template-{reader}{kind}")
        usage = (
            int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize")).split()[1])
            * 1024
        )
        resource.setrlimit(resource.RLIMIT_AS, (usage + MEMORY, usage + MEMORY))
        for number in range(first, first + count):
            print(json.dumps([number, "began"]), flush=True)
            folder = Path(work).resolve() / f"try{number}"
            (folder / "out").mkdir(parents=True)
            result = attempt(reader, number, folder)
            print(json.dumps([number, result]), flush=True)
            shutil.rmtree(folder)


def campaign(reader: str, count: int, first: int = 0) -> tuple[Counter[str], dict[int, str]]:
    """Try many files; return how many were read and refused, and what went wrong with others."""
    results: dict[int, str] = {}
    while len(results) < count:
        start = first + len(results)
        command = [sys.executable, "-m", "tests.hostile", "--batch", reader, str(start), str(min(BATCH, count - len(results)))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * BATCH)
            output, end = done.stdout, f"crashed: {done.returncode} {done.stderr[-500:]}"
        except subprocess.TimeoutExpired as error:
            output, end = (error.stdout or b"").decode(), "hung"
        for line in output.splitlines():
            if line.startswith("["):
                number, result = json.loads(line)
                results[number] = end if result == "began" else result
        if not output:
            results[start] = end
    kinds = Counter(result if result in {"read", "refused"} else "wrong" for result in results.values())
    return kinds, {number: result for number, result in results.items() if result not in {"read", "refused"}}


if __name__ == "__main__":
    if sys.argv[1] == "--batch":
        batch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        found, wrong = campaign(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
        for number, result in wrong.items():
            print(f"--- {sys.argv[1]} {number}\n{result}")
        print(sys.argv[1], dict(found))
