package dev.pocketlm

import dev.pocketlm.internal.OutputFormat as BorderOutputFormat
import kotlinx.serialization.json.JsonObject

/** What an answer must look like: the model cannot write anything else. */
public sealed interface OutputFormat {

    /** A JSON object or array, of any content. */
    public data object Json : OutputFormat

    /** JSON that is valid under [schema]; [dev.pocketlm.JsonSchema.of] makes one from a Kotlin type. */
    public data class Schema(public val schema: JsonObject) : OutputFormat

    /** Text that matches [pattern] as a whole; without look-around and back-references. */
    public data class Regex(public val pattern: String) : OutputFormat

    /** Text that a context-free [grammar] in Lark's syntax generates from its rule `start`. */
    public data class Lark(public val grammar: String) : OutputFormat
}

internal fun OutputFormat.lower(): BorderOutputFormat = when (this) {
    OutputFormat.Json -> BorderOutputFormat.Json
    is OutputFormat.Schema -> BorderOutputFormat.JsonSchema(schema.toString())
    is OutputFormat.Regex -> BorderOutputFormat.Regex(pattern)
    is OutputFormat.Lark -> BorderOutputFormat.Lark(grammar)
}
