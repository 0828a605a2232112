"""What a container of the stand-in for MeterSphere's JMeter image runs: download, ready, JMeter.

Steps and names are those of the image's contract. Where the original is a shell script that goes on after
an error, so does this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ENV = os.environ
TESTS = Path(ENV.get("TESTS_DIR", "/test"))
HOME = Path(ENV.get("JMETER_HOME", "/opt/jmeter"))
ATTEMPTS = 4
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetched(path: str, *names: str) -> bytes:
    """Return what a call of the server is answered, nothing after a failure."""
    query = "&".join(f"{name}={ENV.get(variable, '')}" for name, variable in map(str.split, names))
    try:
        with WITHOUT_PROXY.open(f"{ENV['METERSPHERE_URL']}{path}?{query}", timeout=150) as answer:
            return bytes(answer.read())
    except (OSError, ValueError, urllib.error.URLError) as error:
        print(f"GET {path}: {error}", flush=True)
        return b""


def download() -> None:
    """Fetch the test and unpack it."""
    names = ("testId TEST_ID", "resourceId RESOURCE_ID", "ratio RATIO", "reportId REPORT_ID")
    archive = Path(f"{ENV['TEST_ID']}.zip")
    for _ in range(ATTEMPTS):
        content = fetched("/jmeter/download", *names, "resourceIndex RESOURCE_INDEX")
        if content:
            archive.write_bytes(content)
            with zipfile.ZipFile(archive) as found:
                found.extractall(TESTS)
            return
        time.sleep(2)


def await_others() -> None:
    """Poll until no node is missing; what is no number counts as none."""
    names = ("ratio RATIO", "resourceIndex RESOURCE_INDEX", "reportId REPORT_ID")
    while int(fetched("/jmeter/ready", *names) or b"0") > 0:
        time.sleep(0.2)


def configured() -> None:
    """Put the properties and hosts of the test where JMeter and the system look for them."""
    settings = TESTS / "ms.properties"
    if settings.exists():
        with (HOME / "bin" / "jmeter.properties").open("a") as properties:
            properties.write("\n" + settings.read_text())
    hosts = TESTS / "hosts"
    if hosts.exists() and hosts.read_text():
        with Path("/etc/hosts").open("a") as known:
            known.write(hosts.read_text())


def main() -> None:
    """Do all of it."""
    TESTS.mkdir(parents=True, exist_ok=True)
    download()
    configured()
    await_others()
    heap = ENV.get("HEAP", "-Xms1g -Xmx1g -XX:MaxMetaspaceSize=256m").split()
    collector = ENV.get("GC_ALGO", "-XX:+UseSerialGC").split()
    result = f"{ENV['REPORT_ID']}_{ENV['RESOURCE_INDEX']}.jtl"
    command = ["java", *heap, *collector, *ENV.get("JVM_ARGS", "").split(), "-Djava.awt.headless=true"]
    command += ["-jar", str(HOME / "bin" / "ApacheJMeter.jar"), "-n", "-l", result, "-j", "jmeter.log"]
    command += ["-t", str(TESTS / f"{ENV['TEST_ID']}.jmx"), "-i", str(HOME / "bin" / "log4j2.xml")]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
