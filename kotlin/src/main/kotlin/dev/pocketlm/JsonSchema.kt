package dev.pocketlm

import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.SerialInfo
import kotlinx.serialization.descriptors.PolymorphicKind
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.descriptors.SerialKind
import kotlinx.serialization.descriptors.StructureKind
import kotlinx.serialization.descriptors.elementDescriptors
import kotlinx.serialization.descriptors.elementNames
import kotlinx.serialization.descriptors.nonNullOriginal
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonClassDiscriminator
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/**
 * Tells the model what a property or a class means. It becomes `description` in the schema of a typed answer or of a
 * tool's arguments, and is well worth its tokens.
 */
@OptIn(ExperimentalSerializationApi::class)
@SerialInfo
@Target(AnnotationTarget.PROPERTY, AnnotationTarget.CLASS)
public annotation class Describe(
    /** For the model to read. */
    val text: String,
)

/** The JSON schema of what a serializer reads, so that the text that a model writes by it can always be decoded. */
public object JsonSchema {
    /**
     * The schema of [descriptor], for `Json`'s default configuration.
     *
     * Properties without a default value are required, others are optional; no other properties are allowed. Sealed
     * classes become one alternative for each subclass, types that contain themselves a reference.
     *
     * @throws PocketException.SchemaUnsupported for a contextual or open polymorphic type, and for a map whose keys are
     * not strings, numbers or enums
     */
    public fun of(descriptor: SerialDescriptor): JsonObject = SchemaWriter(descriptor).write()
}

@OptIn(ExperimentalSerializationApi::class)
private class SchemaWriter(private val root: SerialDescriptor) {
    private val definitions = LinkedHashMap<String, JsonObject?>()
    private val recursive = findRecursive(root)

    fun write(): JsonObject {
        val schema = schema(root, "")
        if (definitions.isEmpty()) return schema
        return JsonObject(schema + ("\$defs" to JsonObject(definitions.mapValues { it.value ?: JsonObject(emptyMap()) })))
    }

    private fun schema(type: SerialDescriptor, path: String): JsonObject {
        val plain = type.nonNullOriginal
        val schema = if (plain.serialName in recursive) reference(plain, path) else inPlace(plain, path)
        return if (type.isNullable) orNull(schema) else schema
    }

    private fun reference(type: SerialDescriptor, path: String): JsonObject {
        val name = type.serialName
        if (name !in definitions) {
            definitions[name] = null
            definitions[name] = inPlace(type, path)
        }
        val pointer = name.replace("~", "~0").replace("/", "~1")
        return buildJsonObject { put("\$ref", "#/\$defs/$pointer") }
    }

    private fun inPlace(type: SerialDescriptor, path: String): JsonObject = when (val kind = type.kind) {
        is PrimitiveKind -> PRIMITIVES.getValue(kind)
        SerialKind.ENUM -> buildJsonObject { put("enum", JsonArray(type.elementNames.map(::JsonPrimitive))) }
        StructureKind.LIST -> buildJsonObject {
            put("type", "array")
            put("items", schema(type.getElementDescriptor(0), "$path/items"))
        }
        StructureKind.MAP -> map(type, path)
        StructureKind.CLASS, StructureKind.OBJECT -> when {
            type.isInline -> UNSIGNED[type.serialName] ?: schema(type.getElementDescriptor(0), path)
            else -> properties(type, path, discriminator = null)
        }
        PolymorphicKind.SEALED -> sealed(type, path)
        PolymorphicKind.OPEN, SerialKind.CONTEXTUAL -> throw unsupported(path, "$type is not known before it is decoded")
    }

    private fun map(type: SerialDescriptor, path: String): JsonObject {
        val (key, value) = type.elementDescriptors.toList()
        return buildJsonObject {
            put("type", "object")
            put("additionalProperties", schema(value, "$path/additionalProperties"))
            when (key.kind) {
                PrimitiveKind.STRING -> {}
                SerialKind.ENUM -> put("propertyNames", schema(key, "$path/propertyNames"))
                PrimitiveKind.BYTE, PrimitiveKind.SHORT, PrimitiveKind.INT, PrimitiveKind.LONG ->
                    putJsonObject("propertyNames") { put("pattern", "^-?(0|[1-9][0-9]*)$") }
                else -> throw unsupported("$path/propertyNames", "$key cannot be the key of a JSON object")
            }
        }
    }

    private fun properties(type: SerialDescriptor, path: String, discriminator: Pair<String, String>?): JsonObject {
        val names = type.elementNames.toList()
        val required = names.filterIndexed { i, _ -> !type.isElementOptional(i) }
        return buildJsonObject {
            put("type", "object")
            type.annotations.description()?.let { put("description", it) }
            putJsonObject("properties") {
                discriminator?.let { (key, name) -> putJsonObject(key) { put("const", name) } }
                names.forEachIndexed { i, name ->
                    val schema = schema(type.getElementDescriptor(i), "$path/properties/$name")
                    val description = type.getElementAnnotations(i).description()
                    put(name, if (description == null) schema else schema.describedBy(description))
                }
            }
            put("required", JsonArray((listOfNotNull(discriminator?.first) + required).map(::JsonPrimitive)))
            put("additionalProperties", false)
        }
    }

    /** Its elements are the discriminator's name and, by convention, a structure with one element for each subclass. */
    private fun sealed(type: SerialDescriptor, path: String): JsonObject {
        val custom = type.annotations.filterIsInstance<JsonClassDiscriminator>().firstOrNull()
        val key = custom?.discriminator ?: "type"
        val subclasses = type.getElementDescriptor(1).elementDescriptors.toList()
        return buildJsonObject {
            put("anyOf", JsonArray(subclasses.mapIndexed { i, subclass ->
                properties(subclass, "$path/anyOf/$i", key to subclass.serialName)
            }))
        }
    }

    private fun orNull(schema: JsonObject): JsonObject {
        val type = schema["type"]
        return when {
            type is JsonPrimitive && schema.keys.none { it == "enum" || it == "const" } ->
                JsonObject(schema + ("type" to JsonArray(listOf(type, JsonPrimitive("null")))))
            "enum" in schema -> JsonObject(schema + ("enum" to JsonArray((schema["enum"] as JsonArray) + JsonNull)))
            else -> buildJsonObject { put("anyOf", JsonArray(listOf(schema, NULL))) }
        }
    }

    private fun JsonObject.describedBy(text: String): JsonObject =
        JsonObject(this + ("description" to JsonPrimitive(text)))

    private fun List<Annotation>.description(): String? = filterIsInstance<Describe>().firstOrNull()?.text

    private fun unsupported(path: String, reason: String) =
        PocketException.SchemaUnsupported("schema not supported, at ${path.ifEmpty { "/" }}: $reason", path)

    private companion object {
        val NULL = buildJsonObject { put("type", "null") }

        /** JSON has no whole numbers beyond this that every reader agrees on (RFC 8259, section 6). */
        const val MAX_EXACT = (1L shl 53) - 1

        val PRIMITIVES: Map<PrimitiveKind, JsonObject> = mapOf(
            PrimitiveKind.BOOLEAN to buildJsonObject { put("type", "boolean") },
            PrimitiveKind.BYTE to integer(Byte.MIN_VALUE.toLong(), Byte.MAX_VALUE.toLong()),
            PrimitiveKind.SHORT to integer(Short.MIN_VALUE.toLong(), Short.MAX_VALUE.toLong()),
            PrimitiveKind.INT to integer(Int.MIN_VALUE.toLong(), Int.MAX_VALUE.toLong()),
            PrimitiveKind.LONG to integer(-MAX_EXACT, MAX_EXACT),
            PrimitiveKind.FLOAT to buildJsonObject { put("type", "number") },
            PrimitiveKind.DOUBLE to buildJsonObject { put("type", "number") },
            PrimitiveKind.CHAR to buildJsonObject {
                put("type", "string")
                put("minLength", 1)
                put("maxLength", 1)
            },
            PrimitiveKind.STRING to buildJsonObject { put("type", "string") },
        )

        /** Inline classes over signed numbers, by the name of their serializer. */
        val UNSIGNED: Map<String, JsonObject> = mapOf(
            "kotlin.UByte" to integer(0, UByte.MAX_VALUE.toLong()),
            "kotlin.UShort" to integer(0, UShort.MAX_VALUE.toLong()),
            "kotlin.UInt" to integer(0, UInt.MAX_VALUE.toLong()),
            "kotlin.ULong" to integer(0, MAX_EXACT),
        )

        fun integer(minimum: Long, maximum: Long): JsonObject = buildJsonObject {
            put("type", "integer")
            put("minimum", minimum)
            put("maximum", maximum)
        }

        /** Names of the types below [root] that contain themselves. */
        fun findRecursive(root: SerialDescriptor): Set<String> {
            val found = mutableSetOf<String>()
            fun walk(type: SerialDescriptor, above: Set<String>, done: MutableSet<String>) {
                val name = type.nonNullOriginal.serialName
                if (type.kind != StructureKind.CLASS && type.kind != PolymorphicKind.SEALED) {
                    // Lists and maps of everything share a name.
                    type.elementDescriptors.forEach { walk(it, above, done) }
                    return
                }
                if (name in above) {
                    found += name
                    return
                }
                if (!done.add(name)) return
                type.elementDescriptors.forEach { walk(it, above + name, done) }
            }
            walk(root, emptySet(), mutableSetOf())
            return found
        }
    }
}
