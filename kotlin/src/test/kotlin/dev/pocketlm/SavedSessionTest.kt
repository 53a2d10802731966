package dev.pocketlm

import java.nio.file.Files
import java.nio.file.Path
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Sessions that are saved, forked, taken back, and models that are planned. */
@NeedsRealModel
class SavedSessionTest {
    @TempDir
    lateinit var folder: Path

    private fun sessionFault(result: Result<*>): SessionFault =
        assertInstanceOf(PocketException.SessionFile::class.java, result.exceptionOrNull()).fault

    @Test
    fun `a saved session goes on as if it had never been away`() = runBlocking<Unit> {
        val file = folder.resolve("chat 🗝").toString()
        val key = ByteArray(32) { it.toByte() }
        RealModel.chat { session ->
            session.respond("My name is Ada.", greedy(8))
            session.save(file, key)
            val restored = RealModel.model.restore(file, key)
            assertEquals(session.transcript(), restored.transcript())
            val here = session.respond("What is my name?", greedy(16))
            val there = restored.respond("What is my name?", greedy(16))
            assertEquals(here.text, there.text)
            assertTrue(there.usage.cachedTokens > 10, there.usage.toString())
            restored.close()
        }
    }

    @Test
    fun `a file or a key that is wrong says what is`() = runBlocking<Unit> {
        val model = RealModel.model
        val file = folder.resolve("chat").toString()
        val key = ByteArray(32) { 1 }
        RealModel.chat { it.save(file, key) }
        assertEquals(SessionFault.WrongKey, sessionFault(runCatching { model.restore(file, ByteArray(32)) }))
        assertEquals(SessionFault.KeyMissing, sessionFault(runCatching { model.restore(file) }))
        assertEquals(SessionFault.Unreadable, sessionFault(runCatching { model.restore("/no/such/file") }))
        val text = folder.resolve("text")
        Files.writeString(text, "not a session ".repeat(20))
        assertEquals(SessionFault.NotASession, sessionFault(runCatching { model.restore(text.toString()) }))
        val short = runCatching { model.restore(file, ByteArray(31)) }.exceptionOrNull()
        assertEquals("key", assertInstanceOf(PocketException.InvalidArgument::class.java, short).name)
        RealModel.chat {
            assertEquals(SessionFault.Unwritable, sessionFault(runCatching { it.save("/no/such/folder/file") }))
        }
    }

    @Test
    fun `a fork begins where its parent is, and goes its own way`() = runBlocking<Unit> {
        RealModel.chat { parent ->
            parent.respond("My name is Ada.", greedy(8))
            val fork = parent.fork()
            val answer = fork.respond("What is my name?", greedy(16))
            assertTrue(answer.text.contains("Ada") && answer.usage.cachedTokens > 10, answer.toString())
            assertEquals(3, parent.transcript().size)
            assertEquals(5, fork.transcript().size)
            fork.closeAndJoin()
            assertTrue(parent.respond("And now?", greedy(2)).text.isNotEmpty())
        }
    }

    @Test
    fun `turns are taken back`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val first = session.respond("Say only: yes", greedy(4)).text
            session.respond("Say only: no", greedy(4))
            session.rewind(1)
            assertEquals(3, session.transcript().size)
            session.rewind(0)
            assertEquals(1, session.transcript().size)
            assertEquals(first, session.respond("Say only: yes", greedy(4)).text)
            val error = runCatching { session.rewind(2) }.exceptionOrNull()
            assertEquals("turnsToKeep", assertInstanceOf(PocketException.InvalidArgument::class.java, error).name)
        }
    }

    @Test
    fun `the newest turns are kept when the context is full`() = runBlocking<Unit> {
        val model = RealModel.load { context = 96 }
        val session = model.session { instructions = "Be brief."; overflow = ContextPolicy.KeepNewest }
        val events = (1..6).flatMap { session.stream("Tell me number $it in words.", greedy(12)).toList() }
        val dropped = events.filterIsInstance<Event.Noticed>().map { it.notice }.filterIsInstance<Notice.TurnsDropped>()
        assertTrue(dropped.isNotEmpty() && dropped.all { it.turns > 0 }, events.toString())
        assertEquals(13, session.transcript().size)
        assertTrue(session.transcriptTokens() in 1..96)
        model.closeAndJoin()
    }

    @Test
    fun `a plan tells what a model needs without loading it`() = runBlocking<Unit> {
        val plan = LocalModel.plan(RealModel.path, LoadOptions { context = 2048; kv = KvType.Q8; device = DeviceChoice.Cpu })
        assertEquals(2048 to KvType.Q8, plan.context to plan.kvType)
        assertTrue(plan.weightsMapped in 300_000_000L..600_000_000L, plan.toString())
        assertTrue(plan.kv > 0 && plan.scratch > 0)
        assertTrue(plan.fit == Fit.InMemory || plan.suggestion != null || plan.available == null, plan.toString())
        val missing = runCatching { LocalModel.plan("/no/such/file") }.exceptionOrNull()
        assertInstanceOf(PocketException.ModelNotFound::class.java, missing)
    }

    @Test
    fun `a model is warmed up before its first answer`() = runBlocking<Unit> {
        val model = RealModel.load()
        model.prewarm()
        assertTrue(model.session().respond("Hi", greedy(1)).usage.generatedTokens == 1)
        model.closeAndJoin()
        assertInstanceOf(PocketException.Closed::class.java, runCatching { model.prewarm() }.exceptionOrNull())
    }

    @Test
    fun `what is missing in the middle is filled in`() = runBlocking<Unit> {
        RealModel.chat { session ->
            val prefix = "def add(a, b):\n    return "
            val text = session.complete(prefix, "\n\nprint(add(1, 2))\n", greedy(16)).toList().text()
            assertTrue(text.contains("a + b"), text)
            assertEquals(1, session.transcript().size)
        }
    }
}
