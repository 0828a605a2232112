"""The load session: everything that happens under a pool in one pytest session."""

from __future__ import annotations

import dataclasses
import platform
import socket
import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from pytest_metersphere.dist.checks import Wanted
from pytest_metersphere.dist.fleet import Fleet, for_parts, require_certificates
from pytest_metersphere.dist.kafka.preflight import check_kafka, check_text
from pytest_metersphere.dist.local import default_capacity
from pytest_metersphere.dist.metersphere.fitness import require_fit
from pytest_metersphere.dist.metersphere.hub import JMeterHub, JMeterTerms
from pytest_metersphere.dist.metersphere.node import StockTerms
from pytest_metersphere.dist.packages import required_packages
from pytest_metersphere.dist.pool import NodeSpec, Pool, parse_pool, parse_pools
from pytest_metersphere.dist.resolve import resolved
from pytest_metersphere.dist.run import Run
from pytest_metersphere.dist.sources import gather, matching, pack
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.engine.jmeter.source import divided_for, files_of, shares_of
from pytest_metersphere.engine.messages import Collection, Part
from pytest_metersphere.errors import ConfigError, NodeError, PreflightError
from pytest_metersphere.execution import Execution, now
from pytest_metersphere.planning import Planned, parts_by_node, plan_run, require_rows, require_size
from pytest_metersphere.reports.document import SCHEMA, Document, ScenarioResult, SessionInfo, Tool
from pytest_metersphere.reports.files import ReportDirectory, ReportPaths
from pytest_metersphere.scenario import override
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.scenario.profile import Profile
from pytest_metersphere.settings import KafkaSettings, Settings
from pytest_metersphere.terminal import Progress

_DAY = 24 * 3600.0


class LoadSession:
    """Everything that happens under a pool in one pytest session.

    Attributes:
        settings: what the user set.
        pool: the nodes.
        results: what was run so far.
        report_paths: where the reports are, once written.
    """

    def __init__(self, settings: Settings, how_to_collect: Collection) -> None:
        """Read the pool (ConfigError when it is not understood).

        `how_to_collect` holds the ini values and the import mode of the controller's pytest.
        """
        self.settings = settings
        self.pool = _pool(settings)
        self.results: list[ScenarioResult] = []
        self.report_paths: ReportPaths | None = None
        self._version = version("pytest-metersphere")
        self._how_to_collect = how_to_collect
        self._started_at = now()
        self._fleet: Fleet | None = None
        self._directory: ReportDirectory | None = None
        self._bundle: bytes | None = None
        self._sys_path: tuple[str, ...] = ()
        self._wanted = Wanted(self._version)
        self._kafka: KafkaAccess | None = None

    def effective(self, scenario: Scenario) -> Scenario:
        """Return the scenario with the options of this session applied.

        Raises:
            ConfigError: the options leave nothing of its load curve.
        """
        try:
            profile = override.apply(
                scenario.profile,
                users=self.settings.users,
                hold=self.settings.hold,
                ramp=self.settings.ramp,
                rate=self.settings.rate,
            )
        except ConfigError as error:
            raise ConfigError(f"{scenario.nodeid}: {error}") from None
        thresholds = scenario.thresholds + self.settings.thresholds
        jmx = scenario.jmx
        if jmx is not None and (self.settings.hold is not None or self.settings.ramp is not None):
            jmx = msgspec.structs.replace(jmx, own_curve=False)
        return msgspec.structs.replace(scenario, profile=profile, thresholds=thresholds, jmx=jmx)

    def declared_plan(self, scenarios: Sequence[Scenario]) -> list[Planned]:
        """Plan the scenarios of one run on declared capacities, without contacting a node.

        Names of the pool are resolved.

        Raises:
            ConfigError: a node that is not local has no declared capacity.
            CapacityError: the users are more than the pool carries.
            PreflightError: a name that stands for several nodes cannot be resolved.
        """
        nodes = resolved(self.pool).nodes
        capacities = _declared_capacities(nodes)
        return self._planned(scenarios, [spec.name for spec in nodes], capacities)

    def prepare(self, runs: Sequence[Sequence[Scenario]]) -> None:
        """Take the report directory, check Kafka and the nodes, and see that every run fits.

        Each run is a scenario, or the scenarios of a group.

        Raises:
            ConfigError: the report directory cannot be used, or options and scenarios do not fit.
            PreflightError: Kafka or a node is not fit; the text says what to do. Nothing has been started.
        """
        lengths = [_length(self.effective(scenario).profile) for run in runs for scenario in run]
        longest = max(lengths, default=0.0)
        self._directory = ReportDirectory(Path(self.settings.report_dir))
        if self.settings.kafka is not None:
            self._kafka = self._checked_kafka(self.settings.kafka, longest)
        self._fleet = self._new_fleet()
        self._fleet.recognise(self._stock_terms())
        if self._fleet.has_stock_jmeter:
            self._see_fit(scenario for scenarios in runs for scenario in scenarios)
        if self.settings.preflight != "off":
            _require(self._fleet.check(dataclasses.replace(self._wanted, kafka=self._kafka)))
        for scenarios in runs:
            self.plan(scenarios)
        self._directory.clear()

    def _stock_terms(self) -> StockTerms:
        wanted = self.settings.jmeter
        attached = tuple(matching(self._root, self.settings.bundle))
        terms = JMeterTerms(**msgspec.structs.asdict(wanted), root=self._root, attached=attached)
        return StockTerms(self.settings.runner_image, self._kafka, hub=JMeterHub(terms))

    def _checked_kafka(self, settings: KafkaSettings, longest_run: float) -> KafkaAccess | None:
        check, access = check_text(settings)
        _require([check])
        if access is not None and self.settings.preflight != "off":
            _require(check_kafka(access, longest_run))
        return access

    def _new_fleet(self) -> Fleet:
        settings = self.settings
        if settings.node_cafile:
            require_certificates(settings.node_cafile, settings.node_cafile_source)
        return Fleet(self.pool, settings.token.reveal() if settings.token else "", settings.node_cafile)

    def plan(self, scenarios: Sequence[Scenario]) -> list[Planned]:
        """Plan the scenarios of one run on what the nodes have free now.

        Raises:
            CapacityError: the users are more than that.
            PreflightError: a node does not answer.
        """
        fleet = self._the_fleet()
        try:
            free = fleet.free_capacities()
        except NodeError as error:
            raise PreflightError(str(error)) from None
        return self._planned(scenarios, [node.name for node in fleet.nodes], free)

    def _planned(
        self, scenarios: Sequence[Scenario], names: list[str], capacities: list[int]
    ) -> list[Planned]:
        planned = plan_run(list(map(self.effective, scenarios)), names, capacities, self._root)
        for each in planned:
            if each.scenario.jmx is not None:
                self._see_divided(each)
        return planned

    def check_rows(self, scenarios: Sequence[Scenario]) -> None:
        """See that every user of a run has a row where the marks ask for it (ConfigError when not)."""
        require_rows(list(map(self.effective, scenarios)), self._root)

    @property
    def _root(self) -> Path:
        return Path(self.settings.rootdir)

    def _see_divided(self, planned: Planned) -> None:
        """Refuse a test plan of which a node's share cannot be made, before anything is started."""
        for share in shares_of(planned.shares()):
            try:
                divided_for(planned.scenario, share, self._root)
            except ConfigError as error:
                raise PreflightError(f"{planned.scenario.nodeid}: {error}") from None

    def _see_fit(self, scenarios: Iterable[Scenario]) -> None:
        """Refuse test plans that the stock JMeter image would run as something else than they say."""
        for scenario in scenarios:
            if scenario.jmx is None:
                continue
            try:
                require_fit(scenario, self._root)
            except ConfigError as error:
                raise PreflightError(f"{scenario.nodeid}: {error}") from None

    def bundle(self, test_files: Sequence[Path], scenarios: Sequence[Scenario] = ()) -> None:
        """Pack what the scenarios need on the nodes (ConfigError when it cannot be sent)."""
        plans = [scenario for scenario in scenarios if scenario.jmx is not None]
        attached = [path for scenario in plans for path in files_of(scenario, self._root)]
        sources = gather(self._root, test_files, self.settings.bundle, attached)
        self._bundle = pack(sources)
        self._sys_path = sources.sys_path
        if not self.pool.is_local:
            self._wanted = Wanted(self._version, platform.python_version(), required_packages(sources))
        functions = len(plans) < len(scenarios) or not plans
        self._wanted = dataclasses.replace(self._wanted, jmeter=bool(plans), functions=functions)

    @property
    def remote_nodes(self) -> list[str]:
        """Return the names of the nodes that are not on this machine's loopback."""
        return [node.name for node in self._the_fleet().nodes if not node.loopback]

    def run(self, parts: Sequence[Part], watch: Callable[[Progress], None]) -> list[ScenarioResult]:
        """Run one scenario, or those of a group at the same time, and return the judged results.

        Raises:
            PreflightError: the pool has not the capacity any more, or a node does not answer.
            KeyboardInterrupt: the user ended it; what was measured is kept in `results`.
        """
        planned = self.plan([part.scenario for part in parts])
        run = Run(self._version, self._collection(), self._packed(), self._kafka)
        for node, there in zip(self._the_fleet().nodes, parts_by_node(planned, parts), strict=True):
            users = sum(len(part.users) for part in there)
            if users:
                require_size(node.name, there)
                run.add(for_parts(node, there), users, there)
        execution = Execution(run, planned, watch, self._the_fleet().nodes, self.settings.on_node_loss)
        try:
            execution.execute()
        finally:
            run.delete()
            results = execution.results()
            self.results += results
        return results

    def _collection(self) -> Collection:
        name = Path(self.settings.rootdir).name or "root"
        return msgspec.structs.replace(self._how_to_collect, root=name, sys_path=list(self._sys_path))

    def _packed(self) -> bytes:
        assert self._bundle is not None, "bundle() comes first"
        return self._bundle

    def finish(self) -> None:
        """Write the reports of what was run and end the nodes."""
        try:
            if self.results and self._directory is not None:
                self.report_paths = self._directory.write(self.document())
        finally:
            self.close()

    def close(self) -> None:
        """End the nodes and let go of the report directory."""
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None
        if self._directory is not None:
            self._directory.release()
            self._directory = None

    def document(self) -> Document:
        """Return everything that was run so far."""
        return Document(
            schema=SCHEMA,
            tool=Tool(name="pytest-metersphere", version=self._version),
            session=SessionInfo(
                started_at=self._started_at,
                ended_at=now(),
                pool=self.settings.pool_text or "",
                kafka=",".join(self._kafka.servers) if self._kafka else None,
                git_sha=_git_sha(self.settings.rootdir),
                python=platform.python_version(),
                host=socket.gethostname(),
            ),
            scenarios=self.results,
        )

    def _the_fleet(self) -> Fleet:
        assert self._fleet is not None, "prepare() comes first"
        return self._fleet


def _pool(settings: Settings) -> Pool:
    assert settings.pool_text is not None
    return parse_pool(settings.pool_text, parse_pools(settings.pools), source=settings.pool_source)


def _require(checks: Sequence[Check]) -> None:
    for check in checks:
        if not check.ok:
            raise PreflightError(check.text)


def _length(profile: Profile) -> float:
    """Return the seconds that a run may take, for one without an end those of a day."""
    return min(profile.duration + profile.graceful_stop, _DAY)


def _declared_capacities(nodes: Sequence[NodeSpec]) -> list[int]:
    """Return what the pool's text says, for local nodes without a word what they would carry."""
    local = [spec for spec in nodes if spec.local]
    defaults = {spec.name: default_capacity(index, len(local)) for index, spec in enumerate(local)}
    return [_declared(spec, defaults.get(spec.name)) for spec in nodes]


def _declared(spec: NodeSpec, default: int | None) -> int:
    capacity = default if spec.capacity is None else spec.capacity
    if capacity is None:
        raise ConfigError(
            f"--ms-plan contacts no node, so the capacity of {spec.name} must be given: {spec.name}=1000"
        )
    return capacity


def _git_sha(folder: str) -> str | None:
    """Return the commit of the folder's repository, None without one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
