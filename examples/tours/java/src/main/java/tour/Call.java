package tour;

import com.google.genai.AsyncSession;
import com.google.genai.Client;
import com.google.genai.types.AudioTranscriptionConfig;
import com.google.genai.types.Behavior;
import com.google.genai.types.Blob;
import com.google.genai.types.Content;
import com.google.genai.types.FunctionDeclaration;
import com.google.genai.types.FunctionResponse;
import com.google.genai.types.HttpOptions;
import com.google.genai.types.LiveConnectConfig;
import com.google.genai.types.LiveSendClientContentParameters;
import com.google.genai.types.LiveSendRealtimeInputParameters;
import com.google.genai.types.LiveSendToolResponseParameters;
import com.google.genai.types.LiveServerMessage;
import com.google.genai.types.Modality;
import com.google.genai.types.Part;
import com.google.genai.types.Schema;
import com.google.genai.types.SessionResumptionConfig;
import com.google.genai.types.Tool;
import com.google.genai.types.Type;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;

/** One open session. What comes is kept in order, and taken by {@link #next}. */
final class Call {
    /** Ends every wait of the tour. */
    static final long PATIENCE_MS = 10_000;

    private final Client client;
    private final BlockingQueue<LiveServerMessage> inbox = new LinkedBlockingQueue<>();
    private final AtomicReference<String> newestHandle;
    private AsyncSession session;

    private Call(Client client, AtomicReference<String> newestHandle) {
        this.client = client;
        this.newestHandle = newestHandle;
    }

    /**
     * Opens a session; a handle of null asks for a new one. `newestHandle` is kept up to date from then on.
     *
     * <p>The callback is registered by the thread that completes the future of connect(), so that no message can come
     * before it: the SDK drops what comes earlier.
     */
    static Call dial(Client client, String model, String handle, AtomicReference<String> newestHandle)
            throws Exception {
        Call call = new Call(client, newestHandle);
        call.session = client.async.live
                .connect(model, config(handle))
                .thenApply(session -> {
                    session.receive(call::take);
                    return session;
                })
                .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        return call;
    }

    /** A client with the key of the environment, at the SDK's own API version. */
    static Client withKey() {
        return new Client();
    }

    /** A client at the API version that this SDK wants for tokens; a token of null stands for the key. */
    static Client forTokens(String token) {
        Client.Builder builder = Client.builder().httpOptions(HttpOptions.builder().apiVersion("v1alpha").build());
        return (token == null ? builder : builder.apiKey(token)).build();
    }

    void say(String text) throws Exception {
        done(session.sendClientContent(LiveSendClientContentParameters.builder()
                .turns(Content.builder().role("user").parts(Part.fromText(text)).build())
                .turnComplete(true)
                .build()));
    }

    /** Streams samples (PCM16, 16 kHz, mono) in real time, 100 ms at a time. */
    void speak(byte[] pcm) throws Exception {
        int size = 16_000 / 10 * 2;
        long nextNs = System.nanoTime();
        for (int start = 0; start < pcm.length; start += size) {
            byte[] piece = Arrays.copyOfRange(pcm, start, Math.min(start + size, pcm.length));
            done(session.sendRealtimeInput(LiveSendRealtimeInputParameters.builder()
                    .audio(Blob.builder().data(piece).mimeType("audio/pcm;rate=16000").build())
                    .build()));
            nextNs += 100_000_000;
            TimeUnit.NANOSECONDS.sleep(nextNs - System.nanoTime());
        }
    }

    void answerTool(String id, String name, Map<String, Object> response) throws Exception {
        done(session.sendToolResponse(LiveSendToolResponseParameters.builder()
                .functionResponses(FunctionResponse.builder().id(id).name(name).response(response).build())
                .build()));
    }

    /** The next message, in order. */
    LiveServerMessage next(long deadlineNs) throws InterruptedException, TimeoutException {
        LiveServerMessage message = inbox.poll(deadlineNs - System.nanoTime(), TimeUnit.NANOSECONDS);
        if (message == null) {
            throw new TimeoutException("nothing came in time");
        }
        return message;
    }

    /** Ends the session, and waits until it is closed, which only the log tells. */
    void close(CloseLog log) throws Exception {
        log.forget();
        done(session.close());
        log.awaitClosed(PATIENCE_MS);
        client.close();
    }

    private void take(LiveServerMessage message) {
        message.sessionResumptionUpdate()
                .filter(update -> update.resumable().orElse(false))
                .flatMap(update -> update.newHandle())
                .ifPresent(newestHandle::set);
        inbox.add(message);
    }

    private static void done(CompletableFuture<Void> sending) throws Exception {
        sending.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    private static LiveConnectConfig config(String handle) {
        SessionResumptionConfig.Builder resumption = SessionResumptionConfig.builder();
        if (handle != null) {
            resumption.handle(handle);
        }
        Schema place = Schema.builder().type(Type.Known.STRING).build();
        FunctionDeclaration lookUp = FunctionDeclaration.builder()
                .name("look_up")
                .description("Looks a place up.")
                .behavior(Behavior.Known.BLOCKING)
                .parameters(Schema.builder()
                        .type(Type.Known.OBJECT)
                        .properties(Map.of("place", place))
                        .required("place")
                        .build())
                .build();
        return LiveConnectConfig.builder()
                .responseModalities(Modality.Known.AUDIO)
                .sessionResumption(resumption.build())
                .inputAudioTranscription(AudioTranscriptionConfig.builder().build())
                .outputAudioTranscription(AudioTranscriptionConfig.builder().build())
                .tools(Tool.builder().functionDeclarations(lookUp).build())
                .build();
    }
}
