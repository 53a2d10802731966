package dev.pocketlm

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import dev.pocketlm.internal.ModelSession as BorderSession

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
    public fun stream(prompt: String, options: GenerateOptions = GenerateOptions.Default): Flow<Event> = flow {
        val answer = call { stream(prompt, options.lower()) }
        answer.use {
            try {
                while (true) {
                    val batch = border { answer.nextBatch() }
                    if (batch.isEmpty()) break
                    for (event in batch) emit(event.lift())
                }
            } finally {
                withContext(NonCancellable) {
                    answer.cancel()
                    answer.join()
                }
            }
        }
    }

    /** The same, with options in a block: `session.stream("Hi") { maxTokens = 100 }`. */
    public fun stream(prompt: String, build: GenerateOptions.Builder.() -> Unit): Flow<Event> =
        stream(prompt, GenerateOptions(build))

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
        const val NO_END = "the answer ended without its last event"
    }
}
