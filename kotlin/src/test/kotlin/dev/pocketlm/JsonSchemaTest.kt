package dev.pocketlm

import kotlinx.serialization.Contextual
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.Polymorphic
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonClassDiscriminator
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.serializer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

@Serializable
enum class Colour {
    Red,

    @SerialName("dark green")
    Green,
}

@Serializable
@Describe("A person that the text names")
data class Person(
    @Describe("First and last name") val name: String,
    val age: Int,
    val nickname: String? = null,
    val favourite: Colour = Colour.Red,
)

@Serializable
@JvmInline
value class Metres(val value: Double)

@Serializable
data class Tree(val label: String, val children: List<Tree>)

@Serializable
sealed interface Shape

@Serializable
@SerialName("circle")
data class Circle(val radius: Float) : Shape

@Serializable
@SerialName("nothing")
data object Nothing : Shape

@OptIn(ExperimentalSerializationApi::class)
@Serializable
@JsonClassDiscriminator("kind")
sealed class Step {
    @Serializable
    @SerialName("go")
    data class Go(val metres: Int) : Step()
}

class Unserializable

interface Anything

class JsonSchemaTest {
    private inline fun <reified T> schema(): JsonObject = JsonSchema.of(serializer<T>().descriptor)

    private inline fun <reified T> assertSchema(json: String) {
        assertEquals(Json.parseToJsonElement(json), schema<T>())
    }

    @Test
    fun `whole numbers have the bounds of their type`() {
        assertSchema<Byte>("""{"type": "integer", "minimum": -128, "maximum": 127}""")
        assertSchema<Short>("""{"type": "integer", "minimum": -32768, "maximum": 32767}""")
        assertSchema<Int>("""{"type": "integer", "minimum": -2147483648, "maximum": 2147483647}""")
        assertSchema<Long>("""{"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}""")
    }

    @Test
    fun `unsigned numbers begin at zero`() {
        assertSchema<UByte>("""{"type": "integer", "minimum": 0, "maximum": 255}""")
        assertSchema<UShort>("""{"type": "integer", "minimum": 0, "maximum": 65535}""")
        assertSchema<UInt>("""{"type": "integer", "minimum": 0, "maximum": 4294967295}""")
        assertSchema<ULong>("""{"type": "integer", "minimum": 0, "maximum": 9007199254740991}""")
    }

    @Test
    fun `texts, characters, numbers and truth values`() {
        assertSchema<String>("""{"type": "string"}""")
        assertSchema<Char>("""{"type": "string", "minLength": 1, "maxLength": 1}""")
        assertSchema<Float>("""{"type": "number"}""")
        assertSchema<Double>("""{"type": "number"}""")
        assertSchema<Boolean>("""{"type": "boolean"}""")
    }

    @Test
    fun `an enum is its serial names`() {
        assertSchema<Colour>("""{"enum": ["Red", "dark green"]}""")
        assertSchema<Colour?>("""{"enum": ["Red", "dark green", null]}""")
    }

    @Test
    fun `a class is its properties, with what they mean`() {
        assertSchema<Person>(
            """
            {
              "type": "object",
              "description": "A person that the text names",
              "properties": {
                "name": {"type": "string", "description": "First and last name"},
                "age": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
                "nickname": {"type": ["string", "null"]},
                "favourite": {"enum": ["Red", "dark green"]}
              },
              "required": ["name", "age"],
              "additionalProperties": false
            }
            """,
        )
    }

    @Test
    fun `the order of properties is kept`() {
        val properties = schema<Person>().getValue("properties").jsonObject
        assertEquals(listOf("name", "age", "nickname", "favourite"), properties.keys.toList())
    }

    @Test
    fun `lists, sets and arrays of what is in them`() {
        val expected = """{"type": "array", "items": {"type": "boolean"}}"""
        assertSchema<List<Boolean>>(expected)
        assertSchema<Set<Boolean>>(expected)
        assertSchema<Array<Boolean>>(expected)
        assertSchema<BooleanArray>(expected)
    }

    @Test
    fun `maps of texts, numbers and enums`() {
        assertSchema<Map<String, Boolean>>("""{"type": "object", "additionalProperties": {"type": "boolean"}}""")
        assertSchema<Map<Int, String>>(
            """{"type": "object", "additionalProperties": {"type": "string"},
                "propertyNames": {"pattern": "^-?(0|[1-9][0-9]*)$"}}""",
        )
        assertSchema<Map<Colour, String>>(
            """{"type": "object", "additionalProperties": {"type": "string"},
                "propertyNames": {"enum": ["Red", "dark green"]}}""",
        )
    }

    @Test
    fun `a nullable object or list`() {
        assertSchema<List<Boolean>?>("""{"type": ["array", "null"], "items": {"type": "boolean"}}""")
        val person = schema<Person?>()
        assertEquals(Json.parseToJsonElement("""["object", "null"]"""), person["type"])
    }

    @Test
    fun `a value class is what it wraps`() {
        assertSchema<Metres>("""{"type": "number"}""")
    }

    @Test
    fun `a sealed type is one alternative for each subclass`() {
        assertSchema<Shape>(
            """
            {"anyOf": [
              {"type": "object",
               "properties": {"type": {"const": "circle"}, "radius": {"type": "number"}},
               "required": ["type", "radius"], "additionalProperties": false},
              {"type": "object",
               "properties": {"type": {"const": "nothing"}},
               "required": ["type"], "additionalProperties": false}
            ]}
            """,
        )
    }

    @Test
    fun `the discriminator can have another name`() {
        val go = schema<Step>().getValue("anyOf").jsonArray.single().jsonObject
        val properties = go.getValue("properties").jsonObject
        assertEquals(setOf("kind", "metres"), properties.keys)
        assertEquals("go", properties.getValue("kind").jsonObject.getValue("const").jsonPrimitive.content)
    }

    @Test
    fun `a type that contains itself is a reference`() {
        assertSchema<Tree>(
            """
            {
              "${'$'}ref": "#/${'$'}defs/dev.pocketlm.Tree",
              "${'$'}defs": {
                "dev.pocketlm.Tree": {
                  "type": "object",
                  "properties": {
                    "label": {"type": "string"},
                    "children": {"type": "array", "items": {"${'$'}ref": "#/${'$'}defs/dev.pocketlm.Tree"}}
                  },
                  "required": ["label", "children"],
                  "additionalProperties": false
                }
              }
            }
            """,
        )
    }

    @Test
    fun `what is not known before it is decoded is refused, with the place`() {
        @Serializable
        class Contextually(val list: List<@Contextual Unserializable>)

        @Serializable
        class Openly(@Polymorphic val anything: Anything)

        assertUnsupported("/properties/list/items", Contextually.serializer().descriptor)
        assertUnsupported("/properties/anything", Openly.serializer().descriptor)
        assertUnsupported("/propertyNames", serializer<Map<Person, Int>>().descriptor)
    }

    private fun assertUnsupported(path: String, type: SerialDescriptor) {
        val error = assertThrows(PocketException.SchemaUnsupported::class.java) { JsonSchema.of(type) }
        assertEquals(path, error.path)
    }

    @Test
    fun `what is encoded has the properties of the schema`() {
        val values = listOf(Circle(2f), Nothing)
        for (value in values) {
            val encoded = Json.encodeToJsonElement(Shape.serializer(), value).jsonObject
            val alternatives = schema<Shape>().getValue("anyOf").jsonArray.map { it.jsonObject }
            val fitting = alternatives.filter { it.getValue("properties").jsonObject.keys == encoded.keys }
            assertEquals(1, fitting.size, encoded.toString())
        }
    }
}
