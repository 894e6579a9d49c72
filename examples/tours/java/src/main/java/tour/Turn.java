package tour;

import com.google.genai.types.Blob;
import com.google.genai.types.Content;
import com.google.genai.types.FunctionCall;
import com.google.genai.types.LiveServerContent;
import com.google.genai.types.LiveServerGoAway;
import com.google.genai.types.LiveServerMessage;
import com.google.genai.types.LiveServerToolCall;
import com.google.genai.types.Part;
import com.google.genai.types.Transcription;
import java.util.List;
import java.util.Optional;

/** What has come of one turn of the model. */
final class Turn {
    final StringBuilder input = new StringBuilder();
    final StringBuilder heard = new StringBuilder();
    int audioBytes;
    boolean interrupted;
    boolean complete;
    FunctionCall toolCall;
    LiveServerGoAway goAway;

    /** Whether the turn is over, and the model spoke in it: a turnComplete may also go with a tool call. */
    boolean spoken() {
        return complete && audioBytes > 0;
    }

    void add(LiveServerMessage message) {
        goAway = message.goAway().orElse(goAway);
        List<FunctionCall> calls = message.toolCall().flatMap(LiveServerToolCall::functionCalls).orElse(List.of());
        toolCall = calls.isEmpty() ? toolCall : calls.get(0);
        if (message.serverContent().isPresent()) {
            add(message.serverContent().get());
        }
    }

    private void add(LiveServerContent content) {
        interrupted |= content.interrupted().orElse(false);
        complete |= content.turnComplete().orElse(false);
        content.inputTranscription().flatMap(Transcription::text).ifPresent(input::append);
        content.outputTranscription().flatMap(Transcription::text).ifPresent(heard::append);
        for (Part part : content.modelTurn().flatMap(Content::parts).orElse(List.of())) {
            Optional<byte[]> data = part.inlineData().flatMap(Blob::data);
            audioBytes += data.map(bytes -> bytes.length).orElse(0);
        }
    }
}
