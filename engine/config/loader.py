"""How does a folder of YAML become a Community? Read every file, build every model, check every name, then answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from engine.config.alerts import Alerts, Email, Quiet, Webhook
from engine.config.community import (
    Centre,
    Channel,
    Community,
    DicomChannel,
    Facility,
    FolderChannel,
    Http,
    ImagingGateway,
    MllpChannel,
    Recognition,
    Route,
    User,
)
from engine.config.document import Document, Place, UnreadableDocument, Value, read
from engine.config.endpoints import DicomEndpoint, Endpoint, HutongEndpoint, MllpEndpoint
from engine.config.explanation import explain
from engine.config.objects import DiskObjects, ObjectsPlace, S3Objects
from engine.config.problems import InvalidConfiguration, Problem, nearest, written
from engine.config.references import check_references
from engine.config.tls import check_tls, endpoint_context, http_context, listener_context
from engine.errors import ConfigurationError

COMMUNITY, ROUTES, RECOGNITION, USERS = "community.yaml", "routes.yaml", "recognition.yaml", "users.yaml"
ALERTS = "alerts.yaml"
CHANNELS, ENDPOINTS, CENTRES = "channels", "endpoints", "centres"
FILES = (COMMUNITY, ROUTES, RECOGNITION, USERS, ALERTS)
FOLDERS = (CHANNELS, ENDPOINTS, CENTRES)
CHANNEL_TYPES: dict[str, type[Channel]] = {"mllp": MllpChannel, "folder": FolderChannel, "dicom": DicomChannel}
ENDPOINT_TYPES: dict[str, type[Endpoint]] = {"mllp": MllpEndpoint, "dicom": DicomEndpoint, "hutong": HutongEndpoint}
OBJECTS_TYPES: dict[str, type[ObjectsPlace]] = {"disk": DiskObjects, "s3": S3Objects}
LIMIT_FILES = 1000
"""Of one kind. More is a folder that somebody pointed at by mistake."""

_Model = TypeVar("_Model", bound=BaseModel)


def load(folder: Path) -> Community:
    """Reads a configuration folder without connecting to anything.

    Raises InvalidConfiguration listing every problem found, so that one reading shows all there is to mend.
    """
    if not folder.is_dir():
        raise InvalidConfiguration([Problem(str(folder), 0, "", f"expected a folder that holds {COMMUNITY}")])
    return _Reading(folder).community()


@dataclass
class _Reading:
    """One reading of one folder: what was built so far, and what was found wrong."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    documents: dict[str, Document] = field(default_factory=dict)

    def community(self) -> Community:
        self._unknown_files()
        root = self._mapping_of(COMMUNITY, required=True)
        self._known_keys(COMMUNITY, (), root, ("name", "http", "facilities", "objects", "gateway"))
        community = Community.model_construct(
            name=self._community_name(root),
            http=self._http(root),
            facilities=self._named(Facility, COMMUNITY, "facilities", root.get("facilities"), key="code"),
            channels=self._channels(),
            endpoints={
                name: endpoint
                for file, name in self._files_in(ENDPOINTS)
                if (endpoint := self._typed(file, name, ENDPOINT_TYPES)) is not None
            },
            routes=self._routes(),
            centres={
                name: centre
                for file, name in self._files_in(CENTRES)
                if (centre := self._file(Centre, file, name)) is not None
            },
            recognition=self._build(Recognition, RECOGNITION, (), self._mapping_of(RECOGNITION)) or Recognition(),
            users=self._users(),
            alerts=self._alerts(),
            objects=self._objects(root),
            gateway=self._build(ImagingGateway, COMMUNITY, ("gateway",), root.get("gateway", {})) or ImagingGateway(),
            folder=self.folder,
        )
        check_references(community, self._defined(root), self.documents, self.problems)
        check_tls(self._tls_contexts(community), self.documents, self.problems)
        if self.problems:
            raise InvalidConfiguration(self.problems)
        return community

    def _community_name(self, root: dict[str, Value]) -> str:
        class Named(BaseModel):
            name: str

        if COMMUNITY not in self.documents:
            return ""
        named = self._build(Named, COMMUNITY, (), {key: root[key] for key in ("name",) if key in root})
        return named.name if named is not None else ""

    def _channels(self) -> dict[str, Channel]:
        channels: dict[str, Channel] = {}
        for file, name in self._files_in(CHANNELS):
            channel = self._typed(file, name, CHANNEL_TYPES)
            if channel is not None:
                channels[name] = channel
        return channels

    def _users(self) -> dict[str, User]:
        root = self._mapping_of(USERS)
        self._known_keys(USERS, (), root, ("users",))
        return self._named(User, USERS, "users", root.get("users", {}), key="name")

    def _alerts(self) -> Alerts:
        root = self._mapping_of(ALERTS)
        named: dict[str, object] = {
            "channels": self._named(Quiet, ALERTS, "channels", root.get("channels", {}), key="name"),
            "webhooks": self._named(Webhook, ALERTS, "webhooks", root.get("webhooks", {}), key="name"),
            "emails": self._named(Email, ALERTS, "emails", root.get("emails", {}), key="name"),
        }
        rest = {key: value for key, value in root.items() if key not in named}
        built = self._build(Alerts, ALERTS, (), rest) or Alerts()
        return built.model_copy(update=named)

    def _objects(self, root: dict[str, Value]) -> ObjectsPlace:
        raw = root.get("objects", {})
        tag = raw.get("type", "disk") if isinstance(raw, dict) else "disk"
        if not isinstance(tag, str) or tag not in OBJECTS_TYPES:
            self._say(COMMUNITY, ("objects", "type"), f"expected {' or '.join(OBJECTS_TYPES)}")
            return DiskObjects()
        place = self._build(OBJECTS_TYPES[tag], COMMUNITY, ("objects",), raw)
        if isinstance(place, S3Objects) and place.tls is not None:
            try:
                endpoint_context(place.tls, self.folder)
            except ConfigurationError as error:
                self._say(COMMUNITY, ("objects", "tls", error.location or "ca"), error.message)
        return place or DiskObjects()

    def _http(self, root: dict[str, Value]) -> Http:
        http = self._build(Http, COMMUNITY, ("http",), root.get("http", {})) or Http()
        if http.tls is not None:
            try:
                http_context(http.tls, self.folder)
            except ConfigurationError as error:
                self._say(COMMUNITY, ("http", "tls", error.location or "certificate"), error.message)
        return http

    def _routes(self) -> tuple[Route, ...]:
        root = self._mapping_of(ROUTES)
        self._known_keys(ROUTES, (), root, ("routes",))
        listed = root.get("routes", [])
        if not isinstance(listed, list):
            self._say(ROUTES, ("routes",), "expected a list of routes")
            return ()
        built = (self._build(Route, ROUTES, ("routes", position), raw) for position, raw in enumerate(listed))
        return tuple(route for route in built if route is not None)

    def _tls_contexts(self, community: Community) -> dict[tuple[str, Place], Callable[[], SSLContext]]:
        """By file and place."""
        channels: tuple[MllpChannel | DicomChannel, ...] = (*community.mllp_channels, *community.dicom_channels)
        contexts: dict[tuple[str, Place], Callable[[], SSLContext]] = {}
        for channel in channels:
            if channel.tls is not None:
                place = f"{CHANNELS}/{channel.name}.yaml", ("tls",)
                contexts[place] = partial(listener_context, channel.tls, self.folder)
        for endpoint in community.endpoints.values():
            if endpoint.tls is not None:
                place = f"{ENDPOINTS}/{endpoint.name}.yaml", ("tls",)
                contexts[place] = partial(endpoint_context, endpoint.tls, self.folder)
        for called in community.dicom_channels:
            for at, entry in enumerate(called.ae_entries):
                if entry.tls is not None:
                    within = f"{CHANNELS}/{called.name}.yaml", ("ae_entries", at, "tls")
                    contexts[within] = partial(endpoint_context, entry.tls, self.folder)
        return contexts

    # -- files

    def _unknown_files(self) -> None:
        for path in sorted(self.folder.iterdir()):
            if path.is_dir():
                # Without a community file this is some other folder, and what lies in it is none of our business.
                if path.name not in FOLDERS and (self.folder / COMMUNITY).exists() and any(path.glob("*.y*ml")):
                    self._say(f"{path.name}/", (), f"unknown folder{nearest(path.name, FOLDERS)}")
                continue
            if path.suffix in (".yaml", ".yml") and path.name not in FILES:
                self._say(path.name, (), f"unknown file{nearest(path.name, FILES)}")
        for name in FOLDERS:
            for path in sorted((self.folder / name).glob("*.yml")):
                self._say(f"{name}/{path.name}", (), "expected a file name that ends in .yaml")

    def _files_in(self, folder: str) -> list[tuple[str, str]]:
        paths = sorted((self.folder / folder).glob("*.yaml"))
        if len(paths) > LIMIT_FILES:
            self._say(f"{folder}/", (), f"expected at most {LIMIT_FILES} files")
        return [(f"{folder}/{path.name}", path.stem) for path in paths[:LIMIT_FILES]]

    def _read(self, file: str) -> Document | None:
        try:
            document = read(self.folder / file)
        except UnreadableDocument as error:
            self.problems.append(Problem(file, error.line, "", error.text))
            return None
        self.documents[file] = document
        return document

    def _mapping_of(self, file: str, *, required: bool = False) -> dict[str, Value]:
        """The top level of a file; empty where the file is absent and may be."""
        if not required and not (self.folder / file).exists():
            return {}
        document = self._read(file)
        if document is None or document.value is None:
            return {}
        if not isinstance(document.value, dict):
            self._say(file, (), "expected keys and values, such as `name: …`")
            return {}
        return document.value

    def _defined(self, root: dict[str, Value]) -> dict[str, frozenset[str]]:
        """Every name that is defined, well or badly: a reference to a broken definition is not a second problem."""
        users = self.documents[USERS].value if USERS in self.documents else None
        return {
            "facility": _keys(root.get("facilities")),
            "user": _keys(users.get("users")) if isinstance(users, dict) else frozenset(),
            "channel": frozenset(name for _, name in self._files_in(CHANNELS)),
            "endpoint": frozenset(name for _, name in self._files_in(ENDPOINTS)),
            "centre": frozenset(name for _, name in self._files_in(CENTRES)),
        }

    # -- models

    def _typed(self, file: str, name: str, models: dict[str, type[_Model]]) -> _Model | None:
        """Builds the model that the `type:` tag of a file chooses."""
        document = self._read(file)
        if document is None:
            return None
        raw = document.value
        tag = raw.get("type") if isinstance(raw, dict) else None
        if not isinstance(tag, str):
            self._say(file, ("type",), f"expected type: {' or '.join(models)}")
            return None
        if tag not in models:
            self._say(file, ("type",), f"expected {' or '.join(models)}, found '{tag}'{nearest(tag, models)}")
            return None
        return self._build(models[tag], file, (), raw, name=name)

    def _file(self, model: type[_Model], file: str, name: str) -> _Model | None:
        document = self._read(file)
        return self._build(model, file, (), document.value, name=name) if document is not None else None

    def _named(self, model: type[_Model], file: str, section: str, raw: Value, *, key: str) -> dict[str, _Model]:
        """Builds `section: {name: {…}}`, each name given to its model as `key`."""
        if file not in self.documents:
            return {}
        if not isinstance(raw, dict) or not raw:
            if raw != {}:
                self._say(file, (section,), f"expected {section} by name")
            return {}
        built = {name: self._build(model, file, (section, name), value, **{key: name}) for name, value in raw.items()}
        return {name: value for name, value in built.items() if value is not None}

    def _build(self, model: type[_Model], file: str, place: Place, raw: Value, **given: str) -> _Model | None:
        if not isinstance(raw, dict):
            self._say(file, place, f"expected the keys of this {model.__name__.lower()}")
            return None
        for key in given.keys() & raw.keys():
            self._say(file, (*place, key), f"unknown key; the {key} is already given by '{given[key]}'")
        try:
            return model.model_validate({**raw, **given})
        except ValidationError as error:
            for loc, text in explain(error, model, given):
                self._say(file, (*place, *loc), text)
            return None

    def _known_keys(self, file: str, place: Place, raw: dict[str, Value], known: Iterable[str]) -> None:
        for key in raw.keys() - set(known):
            self._say(file, (*place, key), f"unknown key{nearest(key, known)}")

    def _say(self, file: str, place: Place, text: str) -> None:
        line = self.documents[file].line(place) if file in self.documents else 0
        self.problems.append(Problem(file, line, written(place), text))


def _keys(raw: Value) -> frozenset[str]:
    return frozenset(raw) if isinstance(raw, dict) else frozenset()
