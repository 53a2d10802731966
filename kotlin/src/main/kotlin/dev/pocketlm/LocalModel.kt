package dev.pocketlm

import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext
import dev.pocketlm.internal.LoadTask
import dev.pocketlm.internal.LocalModel as BorderModel

/**
 * A loaded model: expensive to load, shared by all its sessions, safe to use from any thread.
 *
 * ```
 * val model = LocalModel.load("/path/to/model.gguf")
 * model.session { instructions = "Answer briefly." }.use { session ->
 *     println(session.respond("What is a GGUF file?").text)
 * }
 * model.close()
 * ```
 */
public class LocalModel internal constructor(private val handle: BorderModel) : AutoCloseable {
    private val isDown = AtomicBoolean(false)

    /** Facts about the file. */
    public val info: ModelInfo = handle.info().lift()

    /** A sentence about the device in use. */
    public val device: String = handle.device()

    /** The device's name: `cpu`, `gpu` or `reference`. */
    public val deviceName: String = handle.deviceName()

    /** Positions that a session may use. */
    public val context: Int = handle.context().toInt()

    /** What happened while loading that the app did not ask for. */
    public val notices: List<Notice> = handle.notices().map { it.lift() }

    /** Whether [close] was called. */
    public val isClosed: Boolean get() = isDown.get()

    /**
     * Starts a conversation: `model.session { instructions = "Answer briefly." }`.
     *
     * @throws PocketException.InsufficientMemory when its memory does not fit
     * @throws PocketException.Closed after [close]
     */
    public fun session(build: SessionBuilder.() -> Unit = {}): ModelSession {
        val options = SessionBuilder().apply(build)
        return ModelSession(this, border { openHandle().session(options.lower()) })
    }

    /**
     * Closes the model for good. Answers in progress are stopped within one token, and what is called afterwards, here or
     * on a session of this model, throws [PocketException.Closed]. Does not wait: [closeAndJoin] does.
     */
    override fun close() {
        if (isDown.compareAndSet(false, true)) {
            handle.use { it.shutDown() }
        }
    }

    /** The same, and waits until every answer has stopped and the memory of the model is free to be given back. */
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

    internal fun openHandle(): BorderModel = if (isClosed) throw closed() else handle

    override fun toString(): String = "LocalModel(${info.name ?: info.architecture}, $device)"

    public companion object {
        /**
         * Loads a GGUF file. The work is done on a thread of the library; cancelling the coroutine stops it.
         *
         * @throws PocketException.ModelNotFound when there is no such file
         * @throws PocketException.UnsupportedModel when this runtime cannot run what is in it
         * @throws PocketException.CorruptModel when it contradicts its own format
         * @throws PocketException.InsufficientMemory when it does not fit
         * @throws PocketException.DeviceUnavailable when a GPU was asked for and there is none
         * @throws PocketException.InvalidArgument for an option
         */
        public suspend fun load(path: String, options: LoadOptions = LoadOptions()): LocalModel =
            LocalModel(border { BorderModel.load(path, options.lower(), null) })

        /** The same, with options in a block: `LocalModel.load(path) { device = DeviceChoice.Cpu }`. */
        public suspend fun load(path: String, build: LoadOptions.Builder.() -> Unit): LocalModel =
            load(path, LoadOptions(build))

        /**
         * Starts a load that a user interface can watch: its [ModelLoad.state] is a `StateFlow`. It runs in [scope] and
         * ends with it.
         */
        public fun loadIn(scope: CoroutineScope, path: String, options: LoadOptions = LoadOptions()): ModelLoad =
            ModelLoad(scope) { task: LoadTask -> LocalModel(border { BorderModel.load(path, options.lower(), task) }) }
    }
}
