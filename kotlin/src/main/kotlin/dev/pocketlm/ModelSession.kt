package dev.pocketlm

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.serializer
import dev.pocketlm.internal.Event as BorderEvent
import dev.pocketlm.internal.ModelSession as BorderSession
import dev.pocketlm.internal.ResponseStream
import dev.pocketlm.internal.ToolCall as BorderToolCall

/**
 * A conversation: what was said, and the model's memory of it. Cheap; one for each conversation.
 *
 * Turns are transactional: one that fails or is cancelled leaves no trace, and the next answer is the same as if it had
 * never been. One answer at a time; a second one meanwhile throws [PocketException.Busy]. Safe to use from any thread.
 */
public class ModelSession internal constructor(
    /** The model this session talks to. */
    public val model: LocalModel,
    private val handle: BorderSession,
    private val tools: List<Tool>,
) : AutoCloseable {
    private val isDown = AtomicBoolean(false)

    /** Whether [close] was called. */
    public val isClosed: Boolean get() = isDown.get()

    /**
     * Answers [prompt] as a cold flow: each collection is a turn of its own, the last event is [Event.Done].
     *
     * The model works on threads of the library, also ahead of a slow collector. Cancelling the collection, or leaving it
     * early as `first()` and `take()` do, stops the answer within one token and waits for that; its turn is forgotten.
     *
     * @throws PocketException in the collector: [PocketException.Busy] during another answer,
     * [PocketException.ContextExceeded] when the conversation has grown too long, [PocketException.InvalidArgument] for an
     * option, [PocketException.Closed] after [close], [PocketException.DeviceLost]
     */
    public fun stream(prompt: String, options: GenerateOptions = GenerateOptions.Default): Flow<Event> =
        events { call { stream(prompt, options.lower()) } }

    /** The same, with options in a block: `session.stream("Hi") { maxTokens = 100 }`. */
    public fun stream(prompt: String, build: GenerateOptions.Builder.() -> Unit): Flow<Event> =
        stream(prompt, GenerateOptions(build))

    /**
     * Writes what belongs between [prefix] and [suffix], for suggestions as somebody types. A completion of this session
     * that is still in progress is cancelled first: only the newest keystroke counts. The conversation takes no part in it.
     *
     * @throws PocketException in the collector: [PocketException.UnsupportedModel] for a model that was not made for that,
     * and as [stream]
     */
    public fun complete(
        prefix: String,
        suffix: String,
        options: GenerateOptions = GenerateOptions.Default,
    ): Flow<Event> = events { call { complete(prefix, suffix, options.lower()) } }

    private fun events(begin: suspend () -> ResponseStream): Flow<Event> = flow {
        begin().use { answer ->
            try {
                while (true) {
                    val batch = border { answer.nextBatch() }
                    if (batch.isEmpty()) break
                    for (event in batch) {
                        event.lift()?.let { emit(it) }
                        if (event is BorderEvent.ToolNeeded) run(event.call, answer)
                    }
                }
            } finally {
                withContext(NonCancellable) {
                    answer.cancel()
                    answer.join()
                }
            }
        }
    }

    /** Runs a tool of the app; the answer waits for its result. */
    private suspend fun run(call: BorderToolCall, answer: ResponseStream) {
        // The runtime asks only for tools that it was given.
        val tool = tools.first { it.name == call.name }
        val (content, isError) = tool.call(call.argumentsJson)
        answer.answerTool(call.id, content, isError)
    }

    /**
     * Answers [prompt] and waits for the whole answer. Cancelling the coroutine stops it within one token, waits for that,
     * and forgets the turn.
     *
     * @throws PocketException as [stream]
     */
    public suspend fun respond(prompt: String, options: GenerateOptions = GenerateOptions.Default): Response {
        val text = StringBuilder()
        val reasoning = StringBuilder()
        var done: Event.Done? = null
        stream(prompt, options).collect { event ->
            when (event) {
                is Event.Text -> text.append(event.delta)
                is Event.Reasoning -> reasoning.append(event.delta)
                is Event.Done -> done = event
                else -> {}
            }
        }
        val end = done ?: throw PocketException.Internal("internal error: $NO_END", NO_END)
        return Response(text.toString(), reasoning.toString(), end.finish, end.usage)
    }

    /** The same, with options in a block: `session.respond("Hi") { maxTokens = 100 }`. */
    public suspend fun respond(prompt: String, build: GenerateOptions.Builder.() -> Unit): Response =
        respond(prompt, GenerateOptions(build))

    /**
     * Answers [prompt] with a value of [T]: its serializer gives the schema, and the model cannot write anything else.
     * [Describe] tells it what properties mean.
     *
     * @throws PocketException.AnswerIncomplete when the answer ended before it was whole
     * @throws PocketException.SchemaUnsupported for a type that has no schema
     * @throws PocketException as [stream]
     */
    @JvmName("respondWith")
    public suspend inline fun <reified T> respond(
        prompt: String,
        options: GenerateOptions = GenerateOptions.Default,
    ): T = respond(serializer<T>(), prompt, options)

    /** The same, with a serializer. */
    public suspend fun <T> respond(
        type: KSerializer<T>,
        prompt: String,
        options: GenerateOptions = GenerateOptions.Default,
    ): T {
        val schema = OutputFormat.Schema(JsonSchema.of(type.descriptor))
        val answer = respond(prompt, options.with { format = schema })
        if (answer.finish != FinishReason.EndOfTurn) {
            val message = "the answer is incomplete: it ended by ${answer.finish}"
            throw PocketException.AnswerIncomplete(message, answer.text, answer.finish)
        }
        return JSON.decodeFromString(type, answer.text)
    }

    /**
     * Stops the answer in progress, if there is one, within one token: its last event is [Event.Done] with
     * [FinishReason.Cancelled], and its turn is forgotten. For a stop button; to stop collecting as well, cancel the
     * coroutine.
     */
    public fun cancel() {
        try {
            call { cancel() }
        } catch (_: PocketException.Closed) {
            // Then there is nothing to stop.
        }
    }

    /**
     * What was said so far, the instructions first.
     *
     * @throws PocketException.Busy during an answer
     * @throws PocketException.Closed after [close]
     */
    public fun transcript(): List<Message> = call { transcript() }.map { it.lift() }

    /**
     * How many tokens [text] is for this session's model.
     *
     * @throws PocketException.Closed after [close]
     */
    public suspend fun tokenCount(text: String): Int = call { tokenCount(text) }.toInt()

    /**
     * How many tokens of the context window the conversation takes so far.
     *
     * @throws PocketException.Busy during an answer
     * @throws PocketException.Closed after [close]
     */
    public suspend fun transcriptTokens(): Int = call { transcriptTokens() }.toInt()

    /**
     * A conversation that begins as this one is now; what both have said is computed once.
     *
     * @throws PocketException.Busy during an answer
     * @throws PocketException.InsufficientMemory when it does not fit
     * @throws PocketException.Closed after [close]
     */
    public suspend fun fork(): ModelSession = ModelSession(model, call { fork() }, tools)

    /**
     * Forgets the newest turns, so that [turnsToKeep] remain.
     *
     * @throws PocketException.InvalidArgument when there are not that many
     * @throws PocketException.Busy during an answer
     * @throws PocketException.Closed after [close]
     */
    public fun rewind(turnsToKeep: Int) {
        call { rewind(turnsToKeep.lower("turnsToKeep")) }
    }

    /**
     * Saves the conversation to the file [path], with what the model remembers of it; [LocalModel.restore] reads it. The
     * file is replaced in one step: it holds the new state or the old one, whatever happens. It is encrypted when there is
     * a [key], 32 random bytes that the platform's key store keeps.
     *
     * @throws PocketException.SessionFile when the file cannot be written
     * @throws PocketException.InvalidArgument for a key that is not 32 bytes long
     * @throws PocketException.Busy during an answer
     * @throws PocketException.Closed after [close]
     */
    public suspend fun save(path: String, key: ByteArray? = null) {
        call { save(path, key) }
    }

    /**
     * Closes the session for good and gives its memory back. An answer in progress is stopped within one token; what is
     * called afterwards throws [PocketException.Closed]. Does not wait: [closeAndJoin] does.
     */
    override fun close() {
        if (isDown.compareAndSet(false, true)) {
            handle.use { it.shutDown() }
        }
    }

    /** The same, and waits until the answer in progress has stopped. */
    public suspend fun closeAndJoin() {
        if (isDown.compareAndSet(false, true)) {
            withContext(NonCancellable) {
                handle.use {
                    it.shutDown()
                    it.join()
                }
            }
        }
    }

    private inline fun <T> call(call: BorderSession.() -> T): T {
        if (isClosed) throw closed()
        return border { handle.call() }
    }

    private companion object {
        val JSON = Json { ignoreUnknownKeys = true }
        const val NO_END = "the answer ended without its last event"
    }
}
