package dev.pocketlm

import dev.pocketlm.internal.InternalException
import dev.pocketlm.internal.PocketException as BorderException

/**
 * What can go wrong, with what an app needs to react or to show a message.
 *
 * Cancellation is not among them: a cancelled coroutine ends with its `CancellationException`, and an answer that
 * [ModelSession.cancel] stopped ends with [FinishReason.Cancelled].
 */
public sealed class PocketException(message: String, cause: Throwable? = null) : Exception(message, cause) {

    /** There is no readable file at [path]; [reason] is what the operating system said. */
    public class ModelNotFound internal constructor(
        message: String,
        public val path: String,
        public val reason: String,
    ) : PocketException(message)

    /** The file is well formed, but this runtime cannot run it: it lacks [what]. */
    public class UnsupportedModel internal constructor(message: String, public val what: String) : PocketException(message)

    /** The file contradicts its own format: [what] is wrong at [location], a metadata key or tensor and a byte offset. */
    public class CorruptModel internal constructor(
        message: String,
        public val what: String,
        public val location: String,
    ) : PocketException(message)

    /** The model, its cache or its scratch space does not fit: of [needed] bytes, [available] can be had. */
    public class InsufficientMemory internal constructor(
        message: String,
        public val needed: Long,
        public val available: Long,
    ) : PocketException(message)

    /** The conversation would be [tokens] long, the context window holds [size]. */
    public class ContextExceeded internal constructor(
        message: String,
        public val size: Int,
        public val tokens: Int,
    ) : PocketException(message)

    /** The file's chat template could not be used, because of [reason]. */
    public class TemplateFailed internal constructor(message: String, public val reason: String) : PocketException(message)

    /** The argument or option [name] is outside its domain, for [reason]. */
    public class InvalidArgument internal constructor(
        message: String,
        public val name: String,
        public val reason: String,
    ) : PocketException(message)

    /** A JSON schema, or the Kotlin type it is made from, cannot be enforced; [path] is a JSON pointer to the place. */
    public class SchemaUnsupported internal constructor(message: String, public val path: String) : PocketException(message)

    /** The tool [name] failed, for [reason]. */
    public class ToolFailed internal constructor(
        message: String,
        public val name: String,
        public val reason: String,
    ) : PocketException(message)

    /** The session is already answering. */
    public class Busy internal constructor(message: String) : PocketException(message)

    /** The compute [device] cannot be used here, for [reason]. */
    public class DeviceUnavailable internal constructor(
        message: String,
        public val device: String,
        public val reason: String,
    ) : PocketException(message)

    /** The compute device went away during an answer; [reason] is what the driver said. */
    public class DeviceLost internal constructor(message: String, public val reason: String) : PocketException(message)

    /** The model or session was closed. */
    public class Closed internal constructor(message: String) : PocketException(message)

    /**
     * A typed answer was asked for, but it ended by [finish] before it was whole: [text] is what there is of it. A
     * larger [GenerateOptions.maxTokens] or context may help.
     */
    public class AnswerIncomplete internal constructor(
        message: String,
        public val text: String,
        public val finish: FinishReason,
    ) : PocketException(message)

    /** A bug in this library; please report it with the text. */
    public class Internal internal constructor(
        message: String,
        public val reason: String,
        cause: Throwable? = null,
    ) : PocketException(message, cause)
}

/**
 * Calls the Rust library: what it throws becomes an exception of the public API.
 *
 * A handle that was closed while the call was on its way is a use after close like any other.
 */
internal inline fun <T> border(call: () -> T): T =
    try {
        call()
    } catch (error: BorderException) {
        throw error.lift()
    } catch (error: InternalException) {
        val reason = error.message ?: "a panic"
        throw PocketException.Internal("internal error: $reason", reason, error)
    } catch (error: DestroyedHandle) {
        // The generated code has no type of its own for this.
        if (error.message?.endsWith("has already been destroyed") != true) throw error
        throw closed()
    }

internal typealias DestroyedHandle = IllegalStateException

internal fun closed(): PocketException = PocketException.Closed("closed")

internal fun BorderException.lift(): PocketException {
    // The text comes from Rust, where it is written once for all languages.
    val text = toString()
    return when (this) {
        is BorderException.ModelNotFound -> PocketException.ModelNotFound(text, path, reason)
        is BorderException.UnsupportedModel -> PocketException.UnsupportedModel(text, what)
        is BorderException.CorruptModel -> PocketException.CorruptModel(text, what, location)
        is BorderException.InsufficientMemory ->
            PocketException.InsufficientMemory(text, needed.toLong(), available.toLong())
        is BorderException.ContextExceeded -> PocketException.ContextExceeded(text, size.toInt(), tokens.toInt())
        is BorderException.TemplateFailed -> PocketException.TemplateFailed(text, reason)
        is BorderException.InvalidArgument -> PocketException.InvalidArgument(text, name.camelCase(), reason)
        is BorderException.SchemaUnsupported -> PocketException.SchemaUnsupported(text, path)
        is BorderException.ToolFailed -> PocketException.ToolFailed(text, name, reason)
        is BorderException.Busy -> PocketException.Busy(text)
        is BorderException.DeviceUnavailable -> PocketException.DeviceUnavailable(text, device, reason)
        is BorderException.DeviceLost -> PocketException.DeviceLost(text, reason)
        is BorderException.Closed -> PocketException.Closed(text)
        // Only a load that somebody cancelled by its handle, which the façade does in no other case than its own.
        is BorderException.Cancelled -> PocketException.Internal(text, "a load was cancelled from outside")
        is BorderException.Internal -> PocketException.Internal(text, reason)
    }
}

/** `max_tokens` as this API spells it: `maxTokens`. */
private fun String.camelCase(): String =
    split('_', ' ').reduce { name, word -> name + word.replaceFirstChar(Char::uppercaseChar) }
