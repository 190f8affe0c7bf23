"""What makes plug-ins known to this process, as their users would."""


def install(monkeypatch, folder, **entry_points):
    """Makes entry points visible as if a package had brought them: kind="name = module:attribute"."""
    info = folder / "plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins\nVersion: 1.0\n")
    groups = [f"[keras_nasnet.{kind}]\n{line}\n" for kind, line in entry_points.items()]
    (info / "entry_points.txt").write_text("".join(groups))
    monkeypatch.syspath_prepend(folder)


def register(monkeypatch, registry, name, item):
    """Registers a thing until the end of the test."""
    monkeypatch.setattr(registry, "_rows", dict(registry._rows))
    registry.register(name, item)
