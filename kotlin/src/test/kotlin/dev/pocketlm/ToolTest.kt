package dev.pocketlm

import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

@Serializable
data class Place(@Describe("Name of the city") val city: String)

/** Calls of the model into Kotlin and back. */
@NeedsRealModel
class ToolTest {
    private val places = CopyOnWriteArrayList<String>()
    private val prompt = "What is the weather in Paris right now? Use the tool."

    private suspend fun <T> chat(weather: suspend (Place) -> String, test: suspend (ModelSession) -> T): T {
        val session = RealModel.model.session {
            instructions = "You are a helpful assistant. Use tools when they help."
            maxToolRounds = 3
            tool<Place>("get_weather", "Tells the current weather of a city") { place ->
                places += place.city
                weather(place)
            }
        }
        try {
            return test(session)
        } finally {
            session.closeAndJoin()
        }
    }

    @Test
    fun `a tool is called with its arguments, and the turn goes on with what it gives`() = runBlocking<Unit> {
        val events = chat({ delay(50); "13 degrees and foggy" }) { it.stream(prompt, greedy(120)).toList() }
        assertEquals("Paris", places.first(), events.toString())
        val called = events.indexOfFirst { it is Event.ToolCalled }
        val returned = events.indexOfFirst { it is Event.ToolReturned }
        assertTrue(called in 0 until returned, events.toString())
        assertEquals("get_weather", (events[called] as Event.ToolCalled).call.name)
        assertEquals("13 degrees and foggy", (events[returned] as Event.ToolReturned).content)
        // What so small a model makes of the result is its own affair; that it goes on is not.
        assertInstanceOf(Event.Done::class.java, events.last())
    }

    @Test
    fun `the transcript tells of calls and results`() = runBlocking<Unit> {
        val said = chat({ "13 degrees" }) { session ->
            session.respond(prompt, greedy(120))
            session.transcript()
        }
        val call = said.flatMap { it.toolCalls }.first()
        val result = said.first { it.role == Role.Tool }
        assertEquals(call.id, result.toolCallId)
        assertEquals("13 degrees", result.content)
        assertTrue(call.argumentsJson.contains("Paris"), call.argumentsJson)
    }

    @Test
    fun `a tool that fails tells the model why, and the turn goes on`() = runBlocking<Unit> {
        val events = chat({ error("the station is closed") }) { it.stream(prompt, greedy(120)).toList() }
        val returned = events.filterIsInstance<Event.ToolReturned>().first()
        assertEquals("""{"error":"the station is closed"}""", returned.content)
        assertInstanceOf(Event.Done::class.java, events.last())
    }

    @Test
    fun `a tool is cancelled with the coroutine that waits for the answer`() = runBlocking<Unit> {
        val begun = CompletableDeferred<Unit>()
        val ended = CompletableDeferred<Unit>()
        val slow: suspend (Place) -> String = {
            begun.complete(Unit)
            try {
                awaitCancellation()
            } finally {
                ended.complete(Unit)
            }
        }
        chat(slow) { session ->
            val job = launch(Dispatchers.Default) { session.respond(prompt, greedy(120)) }
            withTimeout(30.seconds) { begun.await() }
            withTimeout(5.seconds) { job.cancelAndJoin() }
            assertTrue(ended.isCompleted)
            assertEquals(1, session.transcript().size)
        }
    }

    @Test
    fun `the stop button ends a turn whose tool is running`() = runBlocking<Unit> {
        lateinit var session: ModelSession
        chat({ session.cancel(); "13 degrees" }) {
            session = it
            val answer = it.respond(prompt, greedy(120))
            assertEquals(FinishReason.Cancelled, answer.finish)
            assertEquals(1, it.transcript().size)
        }
    }

    @Test
    fun `a tool may be described by a schema of its own`() = runBlocking<Unit> {
        val schema = Json.decodeFromString<JsonObject>(
            """{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}""",
        )
        val session = RealModel.model.session {
            tool("get_weather", "Tells the current weather of a city", schema) { arguments ->
                places += arguments.getValue("city").toString()
                "13 degrees"
            }
        }
        session.respond(prompt, greedy(120))
        session.close()
        assertEquals("\"Paris\"", places.first())
    }

    @Test
    fun `two tools of a name are refused`() {
        val error = runCatching {
            RealModel.model.session {
                tool<Place>("a", "A") { "" }
                tool<Place>("a", "A") { "" }
            }
        }.exceptionOrNull()
        assertEquals("tools", assertInstanceOf(PocketException.InvalidArgument::class.java, error).name)
    }
}
