package tour;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** What the SDK writes to its log about closes: the only place where it tells of them. */
final class CloseLog extends Handler {
    /** Kept, since a logger that nobody holds is forgotten, and its handlers with it. */
    private static final Logger LOGGER = Logger.getLogger("com.google.genai.AsyncLive");

    private final BlockingQueue<String> closings = new LinkedBlockingQueue<>();
    private final BlockingQueue<String> closed = new LinkedBlockingQueue<>();

    /** Listens to the log from now on. */
    static CloseLog open() {
        CloseLog log = new CloseLog();
        log.setLevel(Level.INFO);
        LOGGER.addHandler(log);
        return log;
    }

    /** Starts anew: what the log has said so far counts no more. */
    void forget() {
        closings.clear();
        closed.clear();
    }

    /** Waits until the log says that a connection is closed: by both sides, that is. */
    void awaitClosed(long withinMs) throws InterruptedException, TimeoutException {
        if (closed.poll(withinMs, TimeUnit.MILLISECONDS) == null) {
            throw new TimeoutException("the connection was not closed in time");
        }
    }

    /** Whether the log has said that the service was closing a connection. */
    boolean sawClosing() {
        return !closings.isEmpty();
    }

    @Override
    public void publish(LogRecord entry) {
        String message = String.valueOf(entry.getMessage());
        if (message.startsWith("Live session closing with code")) {
            closings.add(message);
        } else if (message.startsWith("Live session closed with code")) {
            closed.add(message);
        }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
