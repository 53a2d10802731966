package dev.pocketlm

import kotlinx.coroutines.CancellationException
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import dev.pocketlm.internal.ToolSpec as BorderToolSpec

/**
 * Something of the app that the model may call; made by [SessionBuilder.tool].
 *
 * @property name the name the model calls it by
 * @property description what it does and when to use it, for the model to read
 * @property parameters the JSON schema of its arguments, an object schema
 */
public class Tool internal constructor(
    public val name: String,
    public val description: String,
    public val parameters: JsonObject,
    private val run: suspend (argumentsJson: String) -> String,
) {
    /** The text for the model, and whether it is the reason of a failure. */
    internal suspend fun call(argumentsJson: String): Pair<String, Boolean> =
        try {
            run(argumentsJson) to false
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (error: Exception) {
            // The model reads why, and may try again: the turn goes on.
            (error.message ?: error.toString()) to true
        }

    internal fun lower(): BorderToolSpec = BorderToolSpec(name, description, parameters.toString())

    internal companion object {
        private val json = Json { ignoreUnknownKeys = true }

        fun <T> of(name: String, description: String, arguments: KSerializer<T>, run: suspend (T) -> String): Tool {
            val parameters = JsonSchema.of(arguments.descriptor)
            return Tool(name, description, parameters) { run(json.decodeFromString(arguments, it)) }
        }

        fun of(name: String, description: String, parameters: JsonObject, run: suspend (JsonObject) -> String): Tool =
            Tool(name, description, parameters) { run(json.decodeFromString(JsonObject.serializer(), it)) }
    }
}
