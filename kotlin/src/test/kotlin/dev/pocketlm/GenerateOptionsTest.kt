package dev.pocketlm

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class GenerateOptionsTest {
    @Test
    fun `nothing said is left to the library`() {
        val options = GenerateOptions.Default.lower()
        assertNull(options.maxTokens)
        assertNull(options.sample.temperature)
        assertNull(options.sample.topK)
        assertEquals(emptyMap<UInt, Float>(), options.sample.logitBias)
    }

    @Test
    fun `every option crosses the border`() {
        val options = GenerateOptions {
            temperature = 0.1f
            topK = 2
            topP = 0.3f
            minP = 0.4f
            typicalP = 0.5f
            repetitionPenalty = 1.6f
            frequencyPenalty = 0.7f
            presencePenalty = 0.8f
            penaltyWindow = 9
            logitBias = mapOf(10 to Float.NEGATIVE_INFINITY)
            seed = -11
            maxTokens = 12
            stop = listOf("a", "b")
        }.lower()
        val sample = options.sample
        assertEquals(listOf(0.1f, 0.3f, 0.4f, 0.5f), listOf(sample.temperature, sample.topP, sample.minP, sample.typicalP))
        assertEquals(
            listOf(1.6f, 0.7f, 0.8f),
            listOf(sample.repetitionPenalty, sample.frequencyPenalty, sample.presencePenalty),
        )
        assertEquals(listOf(2u, 9u, 12u), listOf(sample.topK, sample.penaltyWindow, options.maxTokens))
        assertEquals(mapOf(10u to Float.NEGATIVE_INFINITY), sample.logitBias)
        assertEquals((-11L).toULong(), sample.seed)
        assertEquals(listOf("a", "b"), options.stop)
    }

    @Test
    fun `options are changed in a copy`() {
        val first = GenerateOptions { maxTokens = 5; stop = listOf("a") }
        val second = first.with { maxTokens = 6; topK = 1 }
        assertEquals(5 to null, first.maxTokens to first.topK)
        assertEquals(6 to 1, second.maxTokens to second.topK)
        assertEquals(listOf("a"), second.stop)
    }

    @Test
    fun `a negative count is refused by name`() {
        val error = assertThrows(PocketException.InvalidArgument::class.java) {
            GenerateOptions { maxTokens = -1 }.lower()
        }
        assertEquals("maxTokens", error.name)
    }

    @Test
    fun `load options keep what they are given`() {
        val options = LoadOptions { threads = 3; context = 64; kv = KvType.Q8; device = DeviceChoice.Reference }.lower()
        assertEquals(listOf(3u, 64u), listOf(options.threads, options.context))
        assertEquals("Q8_0" to "REFERENCE", options.kv?.name to options.device?.name)
    }
}
