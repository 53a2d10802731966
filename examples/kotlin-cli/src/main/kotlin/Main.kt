// Chat with a model in the terminal:
//
//     mvn -q package && java -cp "target/classes:target/lib/*" MainKt model.gguf
//
// An empty line or the end of the input leaves. Only the public API is used.

import dev.pocketlm.Event
import dev.pocketlm.GenerateOptions
import dev.pocketlm.LoadState
import dev.pocketlm.LocalModel
import dev.pocketlm.ModelSession
import dev.pocketlm.PocketException
import kotlin.system.exitProcess
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

private val options = GenerateOptions {
    temperature = 0f
    maxTokens = 200
}

fun main(arguments: Array<String>) {
    val path = arguments.singleOrNull()
    if (path == null) {
        System.err.println("usage: kotlin-cli MODEL.gguf")
        exitProcess(2)
    }
    try {
        runBlocking {
            load(path).use { model ->
                System.err.println(model)
                model.session { instructions = "Answer briefly." }.use { chat(it) }
            }
        }
    } catch (error: PocketException) {
        System.err.println("error: ${error.message}")
        exitProcess(1)
    }
}

/** Shows how far the load is. */
private suspend fun load(path: String): LocalModel = coroutineScope {
    val load = LocalModel.loadIn(this, path)
    load.state.first { state ->
        if (state is LoadState.Loading) System.err.print("\rloading ${(state.progress * 100).toInt()} %")
        state !is LoadState.Loading
    }
    System.err.print("\r")
    load.await()
}

private suspend fun chat(session: ModelSession) {
    while (true) {
        print("> ")
        System.out.flush()
        val prompt = readlnOrNull()?.takeIf { it.isNotBlank() } ?: return
        answer(session, prompt)
    }
}

/** One turn. What goes wrong in it leaves the conversation as it was. */
private suspend fun answer(session: ModelSession, prompt: String) {
    try {
        session.stream(prompt, options).collect { event ->
            when (event) {
                is Event.Text -> print(event.delta)
                is Event.Done -> println("\n[${event.finish}, ${"%.1f".format(event.usage.decodeTokensPerSecond)} tok/s]")
                else -> {}
            }
            System.out.flush()
        }
    } catch (error: PocketException.ContextExceeded) {
        println("This conversation is too long: ${error.tokens} tokens of ${error.size}.")
    }
}
