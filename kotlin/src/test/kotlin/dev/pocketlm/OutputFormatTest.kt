package dev.pocketlm

import kotlinx.coroutines.runBlocking
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

@Serializable
enum class Mood { Happy, Sad }

@Serializable
data class Guess(val mood: Mood, val confidence: Int, val words: List<String>)

/** Answers that must look a certain way. */
@NeedsRealModel
class OutputFormatTest {
    @Test
    fun `an answer is a value of a Kotlin type`() = runBlocking<Unit> {
        val guess: Guess = RealModel.chat {
            it.respond<Guess>("Judge the mood of this text, confidence in percent: 'What a wonderful day!'", greedy(150))
        }
        assertEquals(Mood.Happy, guess.mood)
        assertTrue(guess.confidence != 0, guess.toString())
    }

    @Test
    fun `any seed gives a value, sealed and recursive types too`() = runBlocking<Unit> {
        for (seed in 1L..3L) {
            val options = GenerateOptions { temperature = 1f; maxTokens = 300; this.seed = seed }
            RealModel.chat { it.respond<Shape>("Describe a circle of radius 2 as JSON.", options) }
        }
        val tree = RealModel.chat { it.respond<Tree>("A tree: a root labelled A with one child labelled B.", greedy(200)) }
        assertTrue(tree.label.isNotEmpty())
    }

    @Test
    fun `a typed answer that was cut off says so`() = runBlocking<Unit> {
        val failure = runCatching { RealModel.chat { it.respond<Person>("Name a person.", greedy(3)) } }
        val error = assertInstanceOf(PocketException.AnswerIncomplete::class.java, failure.exceptionOrNull())
        assertEquals(FinishReason.MaxTokens, error.finish)
        assertTrue(error.text.isNotEmpty())
    }

    @Test
    fun `a regular expression, a grammar and plain JSON`() = runBlocking<Unit> {
        suspend fun answer(prompt: String, format: OutputFormat) =
            RealModel.chat { it.respond(prompt, greedy(60).with { this.format = format }).text }
        val date = answer("When did the second world war end?", OutputFormat.Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}"))
        assertTrue(Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}").matches(date), date)
        val yesNo = answer("Is the sky blue?", OutputFormat.Lark("""start: "yes" | "no" """))
        assertTrue(yesNo in setOf("yes", "no"), yesNo)
        val json = answer("Give me an object with your name, nothing else.", OutputFormat.Json)
        assertInstanceOf(JsonObject::class.java, Json.parseToJsonElement(json))
    }

    @Test
    fun `what cannot be enforced is refused before anything is computed`() = runBlocking<Unit> {
        val schema = JsonObject(mapOf("type" to JsonPrimitive("nonsense")))
        for (format in listOf(OutputFormat.Regex("("), OutputFormat.Lark("start: nothing"), OutputFormat.Schema(schema))) {
            RealModel.chat { session ->
                val failure = runCatching { session.respond("Hi", greedy(5).with { this.format = format }) }
                assertInstanceOf(PocketException::class.java, failure.exceptionOrNull(), format.toString())
                assertEquals(1, session.transcript().size)
            }
        }
    }
}
