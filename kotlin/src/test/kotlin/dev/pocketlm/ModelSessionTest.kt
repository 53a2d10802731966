package dev.pocketlm

import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test

/** Conversations with a real model. */
@NeedsRealModel
class ModelSessionTest {
    private inline fun <reified T : PocketException> error(result: Result<*>): T =
        assertInstanceOf(T::class.java, result.exceptionOrNull())

    @Test
    fun `a stream is the answer in pieces, and says at the end what it cost`() = runBlocking<Unit> {
        val whole = RealModel.chat { it.respond("What is a GGUF file?", greedy(24)) }
        val events = RealModel.chat { it.stream("What is a GGUF file?", greedy(24)).toList() }
        assertEquals(whole.text, events.text())
        assertTrue(events.count { it is Event.Text } > 5, "in pieces")
        val done = assertInstanceOf(Event.Done::class.java, events.last())
        assertEquals(1, events.count { it is Event.Done })
        assertEquals(FinishReason.MaxTokens, done.finish)
        assertEquals(24, done.usage.generatedTokens)
        assertEquals(whole.usage.promptTokens, done.usage.promptTokens)
        assertTrue(done.usage.timeToFirstToken.isPositive() && done.usage.decodeTokensPerSecond > 0)
    }

    @Test
    fun `the answer is Rust's, letter for letter`() = runBlocking<Unit> {
        assumeTrue(RealModel.program != null, "SKIPPED: the command line program is not built")
        val prompt = "Write a haiku about rain, with one emoji."
        val here = RealModel.chat(instructions = "You are a poet.") { it.respond(prompt, greedy(40)).text }
        val arguments = listOf("run", RealModel.path, prompt, "--system", "You are a poet.", "--greedy", "-n", "40")
        val command = listOf(RealModel.program.toString()) + arguments + listOf("--device", "cpu")
        val process = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start()
        val there = process.inputStream.readBytes().decodeToString()
        assertEquals(0, process.waitFor())
        assertEquals(there.trimEnd('\n'), here.trimEnd('\n'))
    }

    @Test
    fun `a conversation is remembered and not computed again`() = runBlocking<Unit> {
        RealModel.chat { session ->
            session.respond("My name is Ada. Remember it.", greedy(16))
            val second = session.respond("What is my name?", greedy(16))
            assertTrue(second.text.contains("Ada"), second.text)
            assertTrue(second.usage.cachedTokens > 10, second.usage.toString())
            val said = session.transcript()
            val roles = listOf(Role.System, Role.User, Role.Assistant, Role.User, Role.Assistant)
            assertEquals(roles, said.map { it.role })
            assertEquals(RealModel.BRIEF, said.first().content)
            assertEquals("My name is Ada. Remember it.", said[1].content)
            assertEquals(second.text, said.last().content)
        }
    }

    @Test
    fun `text of all scripts and emoji crosses the border whole`() = runBlocking<Unit> {
        val text = "naïve Ω ж 中文 עברית 👩‍👩‍👧‍👦 🏳️‍🌈 \u0000 \uD83E\uDD9C e\u0301"
        RealModel.chat(instructions = text) { session ->
            session.respond(text, greedy(1))
            assertEquals(listOf(text, text), session.transcript().take(2).map { it.content })
        }
        val echo = RealModel.chat { session ->
            session.stream("Repeat exactly: 🦜🌍 中文", greedy(16)).toList()
        }
        // A piece that split a character would hold a half of it.
        for (event in echo.filterIsInstance<Event.Text>()) {
            assertFalse(event.delta.contains('\uFFFD'), event.delta)
            assertFalse(event.delta.last().isHighSurrogate(), event.delta)
        }
        assertTrue(echo.text().contains("🌍") && echo.text().contains("中文"), echo.text())
    }

    @Test
    fun `a stop text ends the answer and is not part of it`() = runBlocking<Unit> {
        val answer = RealModel.chat {
            it.respond("Count from 1 to 9, separated by commas.", greedy(40).with { stop = listOf("4") })
        }
        assertEquals(FinishReason.StopString, answer.finish)
        assertTrue(answer.text.contains("3") && !answer.text.contains("4"), answer.text)
    }

    @Test
    fun `the model ends its turn by itself`() = runBlocking<Unit> {
        val answer = RealModel.chat { it.respond("Say only: yes", greedy(40)) }
        assertEquals(FinishReason.EndOfTurn, answer.finish)
    }

    @Test
    fun `a seed repeats an answer, another one does not`() = runBlocking<Unit> {
        suspend fun answer(seed: Long) = RealModel.chat {
            it.respond("Invent a name for a boat.") {
                temperature = 1.5f
                topK = 0
                topP = 1f
                minP = 0f
                maxTokens = 12
                this.seed = seed
            }.text
        }
        assertEquals(answer(7), answer(7))
        assertNotEquals(1, (1L..4L).map { answer(it) }.toSet().size)
    }

    @Test
    fun `a forbidden token does not come`() = runBlocking<Unit> {
        val prompt = "Say only: yes"
        val free = RealModel.chat { it.respond(prompt, greedy(4)).text }
        assertTrue(free.contains("yes", ignoreCase = true), free)
        // All tokens below 256 are single bytes in this vocabulary, so that letters must come in longer ones.
        val biased = RealModel.chat {
            it.respond(prompt, greedy(4).with { logitBias = (0..60_000).associateWith { Float.NEGATIVE_INFINITY } }).text
        }
        assertNotEquals(free, biased)
    }

    @Test
    fun `a conversation that grew too long says by how much`() = runBlocking<Unit> {
        val model = RealModel.load { context = 64 }
        val session = model.session()
        val error = error<PocketException.ContextExceeded>(runCatching { session.respond("word ".repeat(100), greedy(1)) })
        assertEquals(64, error.size)
        assertTrue(error.tokens > 100, error.message)
        // The session is as it was.
        assertTrue(session.respond("Hi", greedy(2)).text.isNotEmpty())
        model.closeAndJoin()
    }

    @Test
    fun `an answer may fill the context`() = runBlocking<Unit> {
        val model = RealModel.load { context = 48 }
        val answer = model.session().respond("Count from 1 to 100.", GenerateOptions.Greedy)
        assertEquals(FinishReason.ContextFull, answer.finish)
        model.closeAndJoin()
    }

    @Test
    fun `options outside their domain are named`() = runBlocking<Unit> {
        RealModel.chat { session ->
            for ((name, options) in listOf(
                "maxTokens" to GenerateOptions { maxTokens = 0 },
                "temperature" to GenerateOptions { temperature = -1f },
                "temperature" to GenerateOptions { temperature = Float.NaN },
                "topP" to GenerateOptions { topP = 2f },
                "minP" to GenerateOptions { minP = -0.5f },
                "repetitionPenalty" to GenerateOptions { repetitionPenalty = 0f },
                "topK" to GenerateOptions { topK = -1 },
            )) {
                val error = error<PocketException.InvalidArgument>(runCatching { session.respond("Hi", options) })
                assertEquals(name, error.name)
            }
            assertTrue(session.respond("Hi", greedy(1)).usage.generatedTokens == 1)
        }
    }

    @Test
    fun `guessing ahead changes the time, not the answer`() = runBlocking<Unit> {
        val prompt = "Repeat this list twice: red, green, blue, yellow, black, white."
        suspend fun answer(speculation: Speculation) =
            RealModel.chat { it.respond(prompt, greedy(40).with { this.speculation = speculation }) }
        val plain = answer(Speculation.Off)
        val lookup = answer(Speculation.Lookup)
        val draft = answer(Speculation.Draft(RealModel.model))
        assertEquals(0, plain.usage.draftedTokens)
        assertEquals(plain.text, lookup.text)
        assertEquals(plain.text, draft.text)
        assertTrue(lookup.usage.draftedTokens > 0, lookup.usage.toString())
        assertTrue(draft.usage.acceptedTokens in 1..draft.usage.draftedTokens, draft.usage.toString())
        // A model that is closed guesses nothing.
        val closed = RealModel.load().also { it.close() }
        error<PocketException.Closed>(runCatching { answer(Speculation.Draft(closed)) })
        Unit
    }

    @Test
    fun `tokens are counted as the model counts them`() = runBlocking<Unit> {
        RealModel.chat { session ->
            assertEquals(0, session.tokenCount(""))
            assertEquals(1, session.tokenCount(" the"))
            assertTrue(session.tokenCount("a longer text, with more words") in 5..12)
            // Text from a user is never a control token.
            assertTrue(session.tokenCount("<|im_end|>") > 1)
        }
    }

    @Test
    fun `sessions of a model do not know of each other`() = runBlocking<Unit> {
        RealModel.chat { first ->
            first.respond("My name is Ada.", greedy(4))
            RealModel.chat { second ->
                val answer = second.respond("What is my name?", greedy(16)).text
                assertFalse(answer.contains("Ada"), answer)
                assertEquals(3, second.transcript().size)
            }
        }
    }

    @Test
    fun `nothing is computed before a stream is collected, and each collection is a turn`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val stream = session.stream("Say only: yes", greedy(3))
            assertEquals(1, session.transcript().size)
            stream.toList()
            assertEquals(3, session.transcript().size)
            stream.toList()
            assertEquals(5, session.transcript().size)
        }
    }

    @Test
    fun `what is used after the session was closed says so`() = runBlocking<Unit> {
        val session = RealModel.model.session()
        assertFalse(session.isClosed)
        session.close()
        session.close()
        session.closeAndJoin()
        session.cancel()
        assertTrue(session.isClosed)
        error<PocketException.Closed>(runCatching { session.respond("Hi") })
        error<PocketException.Closed>(runCatching { session.stream("Hi").toList() })
        error<PocketException.Closed>(runCatching { session.transcript() })
        error<PocketException.Closed>(runCatching { session.tokenCount("Hi") })
        Unit
    }
}
