"""The table of sources, by what the repositories print."""

from support.weights import REAL_DIGESTS

from pipelines.experiments.resnet.sources import SOURCES


def test_the_sources_agree_with_what_is_published():
    rows = {(row.name, row.model): row for row in SOURCES}
    assert len(rows) == len(SOURCES)
    # Names and figures as the repositories print them.
    accuracies = {
        "huyvnphan": {"resnet18": 93.07, "resnet34": 93.34, "resnet50": 93.65},
        "edadaltocg": {"resnet18": 94.98, "resnet34": 95.40, "resnet50": 94.65},
        "akamaster": {"resnet20": 91.73, "resnet32": 92.63, "resnet44": 93.10, "resnet56": 93.39, "resnet110": 93.68},
        "chenyaofo": {"resnet20": 92.60, "resnet32": 93.53, "resnet44": 94.01, "resnet56": 94.37},
    }
    assert accuracies == {
        name: {model: row.accuracy for (source, model), row in rows.items() if source == name} for name in accuracies
    }
    assert {name: rows["akamaster", name].file for name in accuracies["akamaster"]} == {
        "resnet20": "resnet20-12fca82f.th",
        "resnet32": "resnet32-d509ac18.th",
        "resnet44": "resnet44-014dd654.th",
        "resnet56": "resnet56-4bfd9763.th",
        "resnet110": "resnet110-1d1ed7c2.th",
    }
    assert {name: rows["chenyaofo", name].file for name in accuracies["chenyaofo"]} == {
        "resnet20": "cifar10_resnet20-4118986f.pt",
        "resnet32": "cifar10_resnet32-ef93fc4d.pt",
        "resnet44": "cifar10_resnet44-2a3cabcb.pt",
        "resnet56": "cifar10_resnet56-187c023a.pt",
    }
    assert all(rows["akamaster", file.partition("-")[0]].sha256 == digest for file, digest in REAL_DIGESTS.items())
    assert rows["edadaltocg", "resnet18"].url == (
        "https://huggingface.co/edadaltocg/resnet18_cifar10/resolve/main/pytorch_model.bin"
    )
    assert {row.stem for row in rows.values() if row.name == "huyvnphan"} == {"pool"}
    assert {row.model for row in rows.values() if not row.sha256} == {"resnet18", "resnet34", "resnet50"}
