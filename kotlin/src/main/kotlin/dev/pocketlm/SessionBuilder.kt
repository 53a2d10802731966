package dev.pocketlm

import dev.pocketlm.internal.ContextPolicy as BorderContextPolicy
import dev.pocketlm.internal.SessionOptions as BorderSessionOptions
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.serializer

/** Says how a conversation begins; the block of [LocalModel.session]. */
@PocketDsl
public class SessionBuilder internal constructor() {
    /** The system message. */
    public var instructions: String? = null

    /** How often in a turn the model may call tools; null for 8. Then the turn ends with [FinishReason.ToolLimit]. */
    public var maxToolRounds: Int? = null

    /** What happens when the conversation outgrows the context window. */
    public var overflow: ContextPolicy = ContextPolicy.Error

    internal val tools: MutableList<Tool> = mutableListOf()

    /**
     * Lets the model call [run]. Its arguments are [T], whose serializer gives the schema; [Describe] its properties.
     *
     * ```
     * @Serializable
     * data class Place(@Describe("Name of the city") val city: String)
     *
     * model.session {
     *     tool<Place>("weather", "Tells the weather of a city") { place -> forecast(place.city) }
     * }
     * ```
     *
     * It runs in the coroutine that collects the answer, and is cancelled with it. What it throws is told to the model,
     * which may try again; the turn goes on. What the model asks for is not to be trusted: whoever can put text into the
     * conversation, a web page for example, can make it call any tool with any arguments.
     *
     * @throws PocketException.SchemaUnsupported for a type that has no schema
     */
    public inline fun <reified T> tool(name: String, description: String, noinline run: suspend (arguments: T) -> String) {
        tool(name, description, serializer<T>(), run)
    }

    /** The same, with a serializer. */
    public fun <T> tool(name: String, description: String, arguments: KSerializer<T>, run: suspend (T) -> String) {
        tools += Tool.of(name, description, arguments, run)
    }

    /** The same, with a JSON schema of the arguments and a JSON object. */
    public fun tool(name: String, description: String, parameters: JsonObject, run: suspend (JsonObject) -> String) {
        tools += Tool.of(name, description, parameters, run)
    }

    internal fun lower(): BorderSessionOptions = BorderSessionOptions(
        instructions = instructions,
        tools = tools.map { it.lower() },
        maxToolRounds = maxToolRounds?.lower("maxToolRounds"),
        overflow = when (overflow) {
            ContextPolicy.Error -> BorderContextPolicy.ERROR
            ContextPolicy.KeepNewest -> BorderContextPolicy.KEEP_NEWEST
        },
    )
}

/** What happens when a conversation outgrows the context window. */
public enum class ContextPolicy {
    /** The turn is refused with [PocketException.ContextExceeded], and nothing changes. */
    Error,

    /**
     * The oldest turns are no longer sent to the model; the instructions and the newest turns are. The transcript keeps all
     * of them. [Notice.TurnsDropped] tells of it.
     */
    KeepNewest,
}
