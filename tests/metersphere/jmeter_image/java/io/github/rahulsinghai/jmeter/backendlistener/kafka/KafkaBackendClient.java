package io.github.rahulsinghai.jmeter.backendlistener.kafka;

import java.nio.ByteBuffer;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.jmeter.assertions.AssertionResult;
import org.apache.jmeter.config.Arguments;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.visualizers.backend.AbstractBackendListenerClient;
import org.apache.jmeter.visualizers.backend.BackendListenerContext;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Stands in for the listener of MeterSphere's JMeter image: its name, its parameters, and the rows that it
 * writes, as far as they are documented. Each sample is one JSON object on a topic.
 */
public class KafkaBackendClient extends AbstractBackendListenerClient {
    private static final Logger LOG = LoggerFactory.getLogger(KafkaBackendClient.class);

    private final Map<String, String> extra = new TreeMap<>();
    private final long testStart = System.currentTimeMillis();
    private KafkaProducer<byte[], byte[]> producer;
    private String topic;
    private String format;
    private boolean verbose;
    private String host;

    @Override
    public Arguments getDefaultParameters() {
        Arguments arguments = new Arguments();
        arguments.addArgument("kafka.bootstrap.servers", "localhost:9092");
        arguments.addArgument("kafka.topic", "JMETER_METRICS");
        return arguments;
    }

    @Override
    public void setupTest(BackendListenerContext context) throws Exception {
        for (Iterator<String> names = context.getParameterNamesIterator(); names.hasNext();) {
            String name = names.next();
            String value = context.getParameter(name, "");
            if (!name.startsWith("kafka.") && !value.isEmpty()) {
                extra.put(name, value);
            }
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", context.getParameter("kafka.bootstrap.servers"));
        settings.put("acks", context.getParameter("kafka.acks", "1"));
        settings.put("batch.size", context.getParameter("kafka.batch.size", "16384"));
        settings.put("client.id", context.getParameter("kafka.client.id", "JMeterKafkaBackendListener"));
        settings.put("connections.max.idle.ms", context.getParameter("kafka.connections.max.idle.ms", "180000"));
        settings.put("enable.idempotence", "false");
        String compression = context.getParameter("kafka.compression.type", "");
        if (!compression.isEmpty()) {
            settings.put("compression.type", compression);
        }
        producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        topic = context.getParameter("kafka.topic");
        format = context.getParameter("kafka.timestamp", "yyyy-MM-dd'T'HH:mm:ss.SSSZZ");
        verbose = !"info".equals(context.getParameter("kafka.test.mode", "info"));
        host = java.net.InetAddress.getLocalHost().getHostName();
    }

    @Override
    public void handleSampleResults(List<SampleResult> results, BackendListenerContext context) {
        long now = System.currentTimeMillis();
        SimpleDateFormat dates = new SimpleDateFormat(format);
        for (int index = 0; index < results.size(); index++) {
            byte[] key = ByteBuffer.allocate(8).putLong(now + index).array();
            byte[] row = row(results.get(index), dates).getBytes(java.nio.charset.StandardCharsets.UTF_8);
            producer.send(new ProducerRecord<>(topic, key, row), (metadata, error) -> {
                if (error != null) {
                    LOG.error("a row was not delivered", error);
                }
            });
        }
    }

    @Override
    public void teardownTest(BackendListenerContext context) throws Exception {
        producer.close();
        super.teardownTest(context);
    }

    private String row(SampleResult result, SimpleDateFormat dates) {
        Json row = new Json();
        for (Map.Entry<String, String> entry : extra.entrySet()) {
            if (entry.getValue().matches("-?\\d{1,18}")) {
                row.number(entry.getKey(), Long.parseLong(entry.getValue()));
            } else {
                row.text(entry.getKey(), entry.getValue());
            }
        }
        row.text("TestElement.name", Thread.currentThread().getName());
        row.text("SampleLabel", result.getSampleLabel());
        row.text("ThreadName", result.getThreadName());
        row.text("URL", result.getURL() == null ? null : result.getURL().toString());
        row.text("ContentType", result.getContentType());
        row.text("DataType", result.getDataType());
        row.text("ResponseCode", result.getResponseCode());
        row.text("InjectorHostname", host);
        row.number("ResponseTime", result.getTime());
        row.number("Latency", result.getLatency());
        row.number("ConnectTime", result.getConnectTime());
        row.number("IdleTime", result.getIdleTime());
        row.number("Bytes", result.getBytesAsLong());
        row.number("SentBytes", result.getSentBytes());
        row.number("BodySize", result.getBodySizeAsLong());
        row.number("AllThreads", result.getAllThreads());
        row.number("GrpThreads", result.getGroupThreads());
        row.number("SampleCount", result.getSampleCount());
        row.number("ErrorCount", result.getErrorCount());
        row.flag("Success", result.isSuccessful());
        assertions(row, result.getAssertionResults());
        row.text("Timestamp", dates.format(new Date(result.getTimeStamp())));
        row.text("SampleStartTime", dates.format(new Date(result.getStartTime())));
        row.text("SampleEndTime", dates.format(new Date(result.getEndTime())));
        row.text("ElapsedTime", dates.format(new Date(System.currentTimeMillis() / 86400000 * 86400000)));
        row.number("TestStartTime", testStart);
        if (verbose || !result.isSuccessful()) {
            row.text("ResponseMessage", result.getResponseMessage());
            row.text("RequestHeaders", result.getRequestHeaders());
            row.text("RequestBody", result.getSamplerData());
            row.text("ResponseHeaders", result.getResponseHeaders());
            row.text("ResponseBody", result.getResponseDataAsString());
        }
        return row.end();
    }

    private static void assertions(Json row, AssertionResult[] results) {
        StringBuilder said = new StringBuilder();
        StringBuilder all = new StringBuilder("[");
        for (AssertionResult result : results) {
            said.append(result.getFailureMessage()).append('\n');
            Json one = new Json();
            one.flag("failure", result.isFailure() || result.isError());
            one.text("failureMessage", result.getFailureMessage());
            one.text("name", result.getName());
            all.append(all.length() > 1 ? "," : "").append(one.end());
        }
        row.text("FailureMessage", said.toString());
        row.raw("AssertionResults", all.append(']').toString());
    }

    /** One JSON object, its special characters escaped as Gson escapes them; what is null is left out. */
    private static final class Json {
        private final StringBuilder out = new StringBuilder("{");

        void text(String name, String value) {
            if (value != null) {
                raw(name, quoted(value));
            }
        }

        void number(String name, long value) {
            raw(name, Long.toString(value));
        }

        void flag(String name, boolean value) {
            raw(name, Boolean.toString(value));
        }

        void raw(String name, String value) {
            out.append(out.length() > 1 ? "," : "").append(quoted(name)).append(':').append(value);
        }

        String end() {
            return out.append('}').toString();
        }

        private static String quoted(String text) {
            StringBuilder quoted = new StringBuilder("\"");
            for (int at = 0; at < text.length(); at++) {
                char one = text.charAt(at);
                if (one == '"' || one == '\\') {
                    quoted.append('\\').append(one);
                } else if (one == '\n') {
                    quoted.append("\\n");
                } else if (one < 32 || one == '<' || one == '>' || one == '&' || one == '\u2028') {
                    quoted.append(String.format("\\u%04x", (int) one));
                } else {
                    quoted.append(one);
                }
            }
            return quoted.append('"').toString();
        }
    }
}
