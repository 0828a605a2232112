# The runner image with Java and JMeter in it, for scenarios that are JMeter test plans; docs/node-controllers.md
# says more. The build's folder is JMeter's, unpacked, with the plugins that the plans use.
#
#   docker build --file deploy/jmeter.Dockerfile --build-arg RUNNER=pytest-metersphere-runner:0.1.0 \
#       --build-arg JAVA=eclipse-temurin:17-jre --tag pytest-metersphere-runner:0.1.0-jmeter apache-jmeter-5.6.3
#
# JAVA is an image with a Java at JAVA_PATH, built for the C library that the runner's base has: no Alpine for Debian.
ARG RUNNER
ARG JAVA

FROM ${JAVA} AS java

FROM ${RUNNER}
ARG JAVA_PATH=/opt/java/openjdk
COPY --from=java ${JAVA_PATH} /opt/java
COPY . /opt/jmeter
ENV JAVA_HOME=/opt/java PYTEST_MS_JMETER_HOME=/opt/jmeter
