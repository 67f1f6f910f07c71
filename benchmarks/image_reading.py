"""Time and memory of reading a folder of images for each class, by this project and by torchvision's ImageFolder.

    python -m benchmarks.image_reading [IMAGES]

Writes so many JPEG files of 256 x 192 pixels (by default 5,000) of noise and gradients in ten classes, then reads them
by each method in a process of its own. The time excludes imports; the memory is the growth of the peak resident set
while reading, which includes the arrays.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES = 10
SIZE = (256, 192)


def write(folder: Path, images: int) -> None:
    """Write the files."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    gradient = np.linspace(0, 200, SIZE[0])[np.newaxis, :, np.newaxis]
    for number in range(images):
        name = folder / f"class {number % CLASSES}" / f"{number}.jpg"
        name.parent.mkdir(exist_ok=True)
        noise = rng.normal(gradient, 20, (SIZE[1], SIZE[0], 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(name, quality=90)


def project(folder: Path) -> int:
    """Read the folder as `prepare` does; returns the number of images."""
    from pipelines.data.images.own import read_images
    from pipelines.data.images.tables import ImageFormat

    read = read_images(folder, ImageFormat())
    return len(read.train_images) + len(read.test_images)


def torchvision(folder: Path) -> int:
    """Read the folder into one array by ImageFolder with Resize and CenterCrop."""
    import numpy as np

    from nnmodels.vision import torchvision, transforms

    sizes = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(32)])
    dataset = torchvision.datasets.ImageFolder(folder, transform=sizes)
    images = np.empty((len(dataset), 32, 32, 3), np.uint8)
    for number, (image, _) in enumerate(dataset):
        images[number] = np.asarray(image)
    return len(images)


METHODS = {"project": project, "torchvision": torchvision}
IMPORTS = {"project": "pipelines.data.images.own", "torchvision": "nnmodels.vision"}


def measured(method: str, folder: Path) -> dict[str, float]:
    """Time and memory of one method, in this process."""
    __import__(IMPORTS[method])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    count = METHODS[method](folder)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"images_per_s": count / wall, "images_per_cpu_s": count / cpu, "mb": grown / 1024}


def main() -> None:
    """Print a line for each method."""
    if sys.argv[1:2] == ["--method"]:
        print(json.dumps(measured(sys.argv[2], Path(sys.argv[3]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
        for method in METHODS:
            command = [sys.executable, "-m", "benchmarks.image_reading", "--method", method, folder]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{method:12} {figures['images_per_s']:7,.0f} images/s, {figures['images_per_cpu_s']:7,.0f} images per "
                f"CPU second, {figures['mb']:6,.0f} MB"
            )


if __name__ == "__main__":
    main()
