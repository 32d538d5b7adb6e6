"""The configuration of a project in Python: `towpath_config.py`.

Example:
    from towpath.config import cron, deployment, oci_layout, project
    from flows.train import train

    config = project(
        "training",
        pool="local",
        registry=oci_layout(".towpath/registry"),
        deployments=[
            deployment(train, timeout="30m", schedules=[{"name": "nightly", "timing": cron("0 3 * * *")}]),
        ],
    )
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

from ._internal.deploy.closest import advice
from ._internal.problem import InvalidDefinition
from ._internal.task.durations import Duration, ms_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._internal.flow import Flow

__all__ = [
    "CommandOptions",
    "Deployment",
    "DeploymentOptions",
    "InvalidDefinition",
    "Project",
    "archive",
    "command",
    "cron",
    "deployment",
    "every",
    "git",
    "locked",
    "npm",
    "oci",
    "oci_layout",
    "project",
    "rrule",
    "s3",
    "stage",
]

Data = dict[str, Any]


class Secret(TypedDict, total=False):
    """A secret of a deployment, and the environment variable that holds it."""

    name: str
    env: str


class Retry(TypedDict, total=False):
    """Automatic retries of a run."""

    limit: int
    delay: Duration
    causes: Sequence[str]


class Concurrency(TypedDict, total=False):
    """How many runs execute at once, and what happens to a run without a free slot."""

    limit: int
    collision: Literal["enqueue", "cancel-new", "cancel-running"]


class Schedule(TypedDict, total=False):
    """A schedule. `timing` comes from `cron`, `every` or `rrule`."""

    name: str
    timing: Mapping[str, Any]
    parameters: Mapping[str, Any]
    catch_up: str
    catch_up_window: Duration
    overlap: str
    jitter: Duration
    starts_at: Union[str, datetime]
    ends_at: Union[str, datetime]
    priority: int
    tags: Sequence[str]
    expire_after: Duration


class CommandOptions(TypedDict, total=False):
    """Options of every deployment. All of them are signed with its code."""

    pools: Sequence[str]
    """The pool where its runs execute, as a list of one name. Default: the project's pool."""
    env: Mapping[str, str]
    """Environment variables of its processes. Not for secrets."""
    secrets: Sequence[Union[str, Secret]]
    """Secrets that the worker resolves: names, or names with an environment variable."""
    retry: Retry
    """Automatic retries of a run."""
    timeout: Duration
    """Time limit of one attempt."""
    run_timeout: Duration
    """Time limit of the run as a whole, with retries, delays and suspensions."""
    kill_grace: Duration
    """The time from SIGTERM to SIGKILL. Default: 10 s."""
    on_disconnect: Literal["continue", "stop"]
    """What a running attempt does while its worker cannot reach the control plane. Default: "continue"."""
    lost_after: Duration
    """The time from the end of a lease until the attempt is lost."""
    expire_after: Duration
    """A run that no worker starts within this time fails with cause `expired`."""
    concurrency: Concurrency
    """How many of its runs execute at once."""
    limits: Sequence[Union[str, Mapping[str, Any]]]
    """Named limits: names, or {"name": ..., "slots": ...}."""
    tags: Sequence[str]
    """Tags of each of its runs."""
    queue: str
    """The queue of its pool for runs that name none."""
    priority: int
    """The priority of runs that have none: -100 to 100."""
    load_ahead: bool
    """Whether a worker may load its code ahead. Default: True."""
    may_start: Sequence[str]
    """Deployments whose runs the flow may start."""
    schedules: Sequence[Schedule]
    """Its schedules, until they are changed elsewhere."""
    compute: Mapping[str, Any]
    """What each run needs from its worker: {"cpu": 2, "memory": "4 GiB", "gpu": {"count": 1}}."""
    floor: int
    """The oldest version that workers may still run. Default: the oldest that a run needs which has not ended, else the new one."""
    expires_at: Union[str, datetime]
    """The instant after which workers refuse this version. Default: the project's `expires_in_days` after the deploy."""
    interpreter: str
    """A Python that the worker's configuration names. Default: the lock of the project, else the worker's default."""
    parameters: Union[Mapping[str, Any], str]
    """The JSON Schema of the parameters, or a file with it. Default: that of the flow's signature."""


class DeploymentOptions(CommandOptions, total=False):
    """Options of a flow's deployment."""

    name: str
    """Its name in the project, to which a deploy adds the stage. Default: the flow's name."""
    due_input: bool
    """Whether the flow makes the parameters of scheduled runs. Only for `towpath deploy --no-import`: else the flow says it."""
    codecs: Sequence[Literal["pickle"]]
    """["pickle"] stores results of tasks with pickle if no other form fits. Reading one runs code that the result contains.
    The worker needs a store key. Default: none."""


@dataclass(frozen=True)
class Deployment:
    """A deployment of a project."""

    name: str
    settings: Data


@dataclass(frozen=True)
class Project:
    """A project: its code, its code registry and its deployments."""

    settings: Data
    deployments: tuple[Deployment, ...]

    def data(self) -> Data:
        """The project as `[tool.towpath]` has it."""
        return {**self.settings, "deployments": {one.name: one.settings for one in self.deployments}}


def cron(expression: str, zone: str = "UTC") -> Data:
    """The timing of a schedule: a cron expression of five fields, or six with seconds first."""
    return {"cron": expression, "zone": zone}


def every(time: Duration, anchor: Union[str, datetime, None] = None) -> Data:
    """The timing of a schedule: an interval such as "15m". Due at `anchor` and every interval before and after it."""
    ms_of("every()", time)
    return {"every": _plain(time), **({} if anchor is None else {"anchor": _plain(anchor)})}


def rrule(rule: str, *, start: str, zone: str = "UTC") -> Data:
    """The timing of a schedule: a recurrence rule of RFC 5545, first due at `start` in the zone."""
    return {"rrule": rule, "start": start, "zone": zone}


def oci_layout(path: str, *, name: str = "local") -> Data:
    """Code in a folder in OCI image layout. `name` is what workers' configuration calls it."""
    return {"oci_layout": path, "name": name}


def oci(
    url: str,
    *,
    name: str = "code",
    username: str | None = None,
    password: Mapping[str, Any] | None = None,
    token_url: str | None = None,
) -> Data:
    """Code in a repository of an OCI registry, such as "https://registry.internal/data/flows".

    Args:
        url: the registry and the repository.
        name: what workers' configuration calls it.
        username: for the login.
        password: {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
        token_url: the token endpoint that may get the login, if it is on another host.
    """
    optional = {"username": username, "password": password, "token_url": token_url}
    return {"oci": url, "name": name, **{key: value for key, value in optional.items() if value is not None}}


def s3(
    url: str,
    *,
    name: str = "code",
    endpoint: str | None = None,
    region: str | None = None,
    access_key_id: Mapping[str, Any] | None = None,
    secret_access_key: Mapping[str, Any] | None = None,
    session_token: Mapping[str, Any] | None = None,
    digest: str | None = None,
) -> Data:
    """Code as archives in a bucket, in AWS or in any store that speaks S3.

    Args:
        url: "s3://bucket/prefix".
        name: what workers' configuration calls it.
        endpoint: the address of a store outside AWS.
        region: Default: the variable `AWS_REGION`, or `us-east-1`.
        access_key_id: {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
            Default: the variable `AWS_ACCESS_KEY_ID`.
        secret_access_key: Default: the variable `AWS_SECRET_ACCESS_KEY`.
        session_token: Default: the variable `AWS_SESSION_TOKEN`, if it is set.
        digest: "sha256:" and 64 hex digits: the archive `SHA256.tar.gz`, which another pipeline has built and uploaded. A deploy
            then pushes nothing, and the project can have only commands. Default: the archive of the project's own code.
    """
    optional = {
        "endpoint": endpoint,
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "session_token": session_token,
        "digest": digest,
    }
    return {"s3": url, "name": name, **{key: value for key, value in optional.items() if value is not None}}


def archive(
    url: str,
    *,
    name: str = "code",
    username: str | None = None,
    password: Mapping[str, Any] | None = None,
    token: Mapping[str, Any] | None = None,
    push: bool | None = None,
    digest: str | None = None,
) -> Data:
    """Code as archives in a folder of a web server. A deploy uploads an archive, or checks that somebody has uploaded it.

    Args:
        url: the folder's address, such as "https://files.internal/flows".
        name: what workers' configuration calls it.
        username: for basic authentication, with `password`.
        password: {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
        token: a token that is sent as `Bearer`, in place of a password.
        push: whether a deploy uploads archives with PUT. Default: false.
        digest: "sha256:" and 64 hex digits: the archive `SHA256.tar.gz`, which another pipeline has built and uploaded. A deploy
            then pushes nothing, and the project can have only commands. Default: the archive of the project's own code.
    """
    optional = {"username": username, "password": password, "token": token, "push": push, "digest": digest}
    return {"archive": url, "name": name, **{key: value for key, value in optional.items() if value is not None}}


def npm(
    url: str,
    *,
    package: str,
    name: str = "code",
    token: Mapping[str, Any] | None = None,
    username: str | None = None,
    password: Mapping[str, Any] | None = None,
) -> Data:
    """Code as versions of a package in an npm registry.

    Args:
        url: the registry's address, such as "https://npm.internal".
        package: the package with its scope, such as "@data/flows".
        name: what workers' configuration calls it.
        token: a token of the registry that may publish the package:
            {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
        username: for basic authentication in place of a token, with `password`.
        password: {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
    """
    optional = {"token": token, "username": username, "password": password}
    given = {key: value for key, value in optional.items() if value is not None}
    return {"npm": url, "package": package, "name": name, **given}


def locked(
    lock: str,
    *,
    python: str | None = None,
    indexes: Sequence[str] = (),
    build: Sequence[str] = (),
) -> Data:
    """The environment of a project's Python: workers build it from a lock.

    Args:
        lock: `uv.lock`, `pylock.toml`, or a requirements file with hashes, relative to the project.
        python: the version of Python, such as "3.12". Default: that of the project's Python.
        indexes: package indexes, by their names in the workers' configuration. Default: the index `default`.
        build: packages that a worker may build from a source archive. Their build tools must be in the lock.
    """
    given: Data = {"python": python, "indexes": list(indexes), "build": list(build)}
    return {"lock": lock, **{key: value for key, value in given.items() if value}}


def git(
    url: str,
    *,
    name: str = "code",
    username: str | None = None,
    password: Mapping[str, Any] | None = None,
    link: Union[bool, str, None] = None,
) -> Data:
    """Code in a git repository. `link` links versions to their commit.

    `password` is {"env": VARIABLE}, {"file": PATH} or {"exec": {"command": [PROGRAM, ...]}}.
    """
    optional = {"username": username, "password": password, "link": link}
    return {"git": url, "name": name, **{key: value for key, value in optional.items() if value is not None}}


def stage(
    *,
    pool: str | None = None,
    store: str | None = None,
    pools: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Data:
    """A stage, such as dev or prod. `pools` has the stage's pool for each pool that the code names."""
    given = {"pool": pool, "store": store, "pools": pools, "env": env, "resources": resources}
    return {key: _plain(value) for key, value in given.items() if value is not None}


def deployment(flow: Union[Flow[..., Any], str], **options: Unpack[DeploymentOptions]) -> Deployment:
    """Deploys a flow: the flow itself, or its place such as "flows/train.py:train", which imports nothing here.

    Raises:
        InvalidDefinition: names the unknown option and the closest known one, or says where the flow must be.
    """
    if isinstance(flow, str):
        path, colon, function = flow.rpartition(":")
        if colon == "" or path == "" or function == "":
            raise InvalidDefinition(f'deployment({flow!r}): write the place of the flow as "flows/train.py:train".')
        place, named = flow, function.replace("_", "-").strip("-").lower()
    else:
        from ._internal.deploy.places import place_of

        place, named = place_of(flow)
    name = str(options.get("name", named))
    return Deployment(name, {"flow": place, **_checked(f'deployment "{name}"', dict(options))})


def command(name: str, argv: Sequence[str], **options: Unpack[CommandOptions]) -> Deployment:
    """Deploys a plain command, such as ["python3", "train.py"]. Parameters come in a file, never in here.

    Raises:
        InvalidDefinition: names the unknown option and the closest known one.
    """
    return Deployment(name, {"command": list(argv), **_checked(f'deployment "{name}"', dict(options))})


def project(
    name: str,
    *,
    pool: str,
    registry: Mapping[str, Any],
    deployments: Sequence[Deployment],
    store: str | None = None,
    files: Sequence[str] | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, Any] | None = None,
    floor_lag: int | None = None,
    expires_in_days: int | None = None,
) -> Project:
    """Describes a project. `towpath_config.py` has one, at its top.

    Args:
        name: the name under which code is pushed: lower-case letters, digits, - and _, at most 63.
        pool: the pool of deployments that name none.
        registry: where the code is pushed: `oci(...)`, `s3(...)`, `archive(...)`, `npm(...)`, `git(...)` or `oci_layout(...)`.
        deployments: what to register: `[deployment(flow, ...)]`.
        store: the store of the runs' values, by its name in the workers' configuration.
        files: patterns of the files to push. Default: all that git does not ignore.
        stages: the stages of the project by name, each from `stage(...)`.
        environment: the lock of its packages, from `locked(...)`. Default: the worker's interpreter.
        expires_in_days: the days after which workers refuse a signed version. 0: never. Default: 90.
        floor_lag: the most versions that `floor` may stay behind the new one. Default: 100.

    Raises:
        InvalidDefinition: two deployments have one name.
    """
    names = [one.name for one in deployments]
    for one in names:
        if names.count(one) > 1:
            raise InvalidDefinition(
                f'project "{name}" has two deployments called "{one}".',
                next='Give one of them another name: deployment(flow, name="...").',
            )
    given: Data = {
        "store": store,
        "files": files,
        "stages": stages,
        "environment": environment,
        "floor_lag": floor_lag,
        "expires_in_days": expires_in_days,
    }
    chosen = {key: _plain(value) for key, value in given.items() if value is not None}
    return Project({"project": name, "pool": pool, "registry": dict(registry), **chosen}, tuple(deployments))


def _checked(owner: str, options: Data) -> Data:
    known = DeploymentOptions.__annotations__
    for option in options:
        if option not in known:
            raise InvalidDefinition(f'{owner} has no option "{option}".', next=advice(option, known))
    return {key: _plain(value) for key, value in options.items() if key != "name"}


def _plain(value: Any) -> Any:
    """A value as JSON has it: a timedelta as milliseconds, an instant as text."""
    if isinstance(value, timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
