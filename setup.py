"""The packages of a wheel: the apps, and the pages and static files, which lie beside them in a checkout."""

from setuptools import find_namespace_packages, setup  # type: ignore[import-untyped]

_APPS = ("cataract", "clients", "predictions", "review", "training")
# Where cataract/settings.py finds them when there is no checkout.
_FILES = {
    "cataract.files.templates": "templates",
    "cataract.files.static": "static",
}

packages = find_namespace_packages(include=[pattern for app in _APPS for pattern in (app, f"{app}.*")])
for package, folder in _FILES.items():
    packages += [package, *(f"{package}.{name}" for name in find_namespace_packages(folder))]

setup(packages=packages, package_dir=_FILES, package_data={"": ["*"]})
