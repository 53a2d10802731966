package dev.pocketlm

import dev.pocketlm.internal.ModelInfo as BorderModelInfo

/**
 * Facts about a model file.
 *
 * @property architecture `general.architecture` of the file
 * @property supported whether this runtime can run it
 * @property name `general.name`, where the file has one
 * @property parameters weights, all tensors together
 * @property fileBytes bytes of the file, all splits together
 * @property context positions the model was made for
 * @property layers number of layers
 * @property dim elements of a hidden state
 * @property vocab entries of the vocabulary
 * @property tokenizer the tokenizer's kind and, for byte-level BPE, its pre-tokenizer
 * @property chatTemplate whether the file carries a chat template
 * @property types tensors by block format, the largest share first
 */
public data class ModelInfo(
    public val architecture: String,
    public val supported: Boolean,
    public val name: String?,
    public val parameters: Long,
    public val fileBytes: Long,
    public val context: Int?,
    public val layers: Int?,
    public val dim: Int?,
    public val vocab: Int?,
    public val tokenizer: String?,
    public val chatTemplate: Boolean,
    public val types: List<TypeShare>,
)

/**
 * How much of a file one block format takes.
 *
 * @property name the format's name, such as `Q4_K`
 * @property tensors tensors in it
 * @property bytes their bytes
 */
public data class TypeShare(public val name: String, public val tensors: Int, public val bytes: Long)

internal fun BorderModelInfo.lift(): ModelInfo = ModelInfo(
    architecture = architecture,
    supported = supported,
    name = name,
    parameters = parameters.toLong(),
    fileBytes = fileBytes.toLong(),
    context = context?.toInt(),
    layers = layers?.toInt(),
    dim = dim?.toInt(),
    vocab = vocab?.toInt(),
    tokenizer = tokenizer,
    chatTemplate = chatTemplate,
    types = types.map { TypeShare(it.name, it.tensors.toInt(), it.bytes.toLong()) },
)
