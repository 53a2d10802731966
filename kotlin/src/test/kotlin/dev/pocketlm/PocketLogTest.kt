package dev.pocketlm

import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

@NeedsRealModel
class PocketLogTest {
    private val lines = CopyOnWriteArrayList<Triple<LogLevel, String, String>>()

    @AfterEach
    fun silence() = PocketLog.setSink(null)

    @Test
    fun `messages arrive with their level, and not after the sink was taken away`() = runBlocking<Unit> {
        PocketLog.setSink({ level, target, message -> lines += Triple(level, target, message) })
        RealModel.load().closeAndJoin()
        val (level, target, message) = lines.single { it.third.contains("model loaded") }
        assertEquals(LogLevel.Info, level)
        assertTrue(target.startsWith("pocketlm"), target)
        assertTrue(message.contains("architecture=\"qwen2\""), message)

        val sofar = lines.size
        PocketLog.setSink({ level, target, message -> lines += Triple(level, target, message) }, LogLevel.Error)
        RealModel.load().closeAndJoin()
        PocketLog.setSink(null)
        RealModel.load().closeAndJoin()
        assertEquals(sofar, lines.size)
    }

    @Test
    fun `a sink that fails harms nobody`() = runBlocking<Unit> {
        PocketLog.setSink({ _, _, _ -> error("disk full") }, LogLevel.Trace)
        val model = RealModel.load()
        assertTrue(model.session().respond("Hi", greedy(1)).usage.generatedTokens == 1)
        model.closeAndJoin()
    }
}
