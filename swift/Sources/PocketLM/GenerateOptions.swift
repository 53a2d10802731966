internal import PocketLMInternal

/// Options of one answer.
public struct GenerateOptions: Sendable, Hashable {
    /// How tokens are drawn.
    public var sample: SampleOptions
    /// The most tokens to generate. With `nil` only the model's own end or a full context stops.
    public var maxTokens: Int?
    /// Texts that end the answer; they are not part of it.
    public var stop: [String]
    /// Whether tokens are guessed ahead.
    public var speculation: Speculation
    /// What the answer must look like; `nil` for anything.
    public var format: OutputFormat?
    /// Tokens of thinking after which a reasoning model has to answer; 0 lets it not think at all, and
    /// `nil` as long as it likes.
    public var reasoningBudget: Int?

    /// Options of an answer.
    public init(
        sample: SampleOptions = SampleOptions(),
        maxTokens: Int? = nil,
        stop: [String] = [],
        speculation: Speculation = .auto,
        format: OutputFormat? = nil,
        reasoningBudget: Int? = nil
    ) {
        self.sample = sample
        self.maxTokens = maxTokens
        self.stop = stop
        self.speculation = speculation
        self.format = format
        self.reasoningBudget = reasoningBudget
    }

    /// Always the likeliest token: the same answer every time.
    public static func greedy(maxTokens: Int? = nil) -> GenerateOptions {
        GenerateOptions(sample: .greedy, maxTokens: maxTokens)
    }

    var foreign: PocketLMInternal.GenerateOptions {
        get throws {
            PocketLMInternal.GenerateOptions(
                sample: try sample.foreign,
                maxTokens: try maxTokens.map { try count($0, "max_tokens") },
                stop: stop,
                speculation: speculation.foreign,
                format: format?.foreign,
                reasoningBudget: try reasoningBudget.map { try count($0, "reasoning_budget") })
        }
    }
}

/// How tokens are drawn: the stages of the sampler, in the terms of the literature. `nil` takes the
/// library's default, a mild setting for conversation.
public struct SampleOptions: Sendable, Hashable {
    /// Divides the logits: below 1 sharpens the distribution, above 1 flattens it; 0 always takes the
    /// likeliest token.
    public var temperature: Float?
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    public var topK: Int?
    /// Keeps the likeliest tokens whose probabilities sum to this; 1 keeps all.
    public var topP: Float?
    /// Drops tokens less likely than this share of the likeliest; 0 drops none.
    public var minP: Float?
    /// Keeps the most typical tokens whose probabilities sum to this; 1 keeps all.
    public var typicalP: Float?
    /// Weakens tokens seen before by this factor; 1 does nothing.
    public var repetitionPenalty: Float?
    /// Subtracted from a token's logit for each time it was seen; 0 does nothing.
    public var frequencyPenalty: Float?
    /// Subtracted from the logit of every token seen; 0 does nothing.
    public var presencePenalty: Float?
    /// How many of the last tokens the penalties look at.
    public var penaltyWindow: Int?
    /// Added to the logits of these tokens, by id; minus infinity forbids one.
    public var logitBias: [UInt32: Float]
    /// The same seed gives the same answer; `nil` takes a fresh one.
    public var seed: UInt64?

    /// Options for drawing tokens.
    public init(
        temperature: Float? = nil,
        topK: Int? = nil,
        topP: Float? = nil,
        minP: Float? = nil,
        typicalP: Float? = nil,
        repetitionPenalty: Float? = nil,
        frequencyPenalty: Float? = nil,
        presencePenalty: Float? = nil,
        penaltyWindow: Int? = nil,
        logitBias: [UInt32: Float] = [:],
        seed: UInt64? = nil
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.typicalP = typicalP
        self.repetitionPenalty = repetitionPenalty
        self.frequencyPenalty = frequencyPenalty
        self.presencePenalty = presencePenalty
        self.penaltyWindow = penaltyWindow
        self.logitBias = logitBias
        self.seed = seed
    }

    /// Always the likeliest token.
    public static let greedy = SampleOptions(temperature: 0)

    var foreign: PocketLMInternal.SampleOptions {
        get throws {
            PocketLMInternal.SampleOptions(
                temperature: temperature,
                topK: try topK.map { try count($0, "top_k") },
                topP: topP,
                minP: minP,
                typicalP: typicalP,
                repetitionPenalty: repetitionPenalty,
                frequencyPenalty: frequencyPenalty,
                presencePenalty: presencePenalty,
                penaltyWindow: try penaltyWindow.map { try count($0, "penalty_window") },
                logitBias: logitBias,
                seed: seed)
        }
    }
}
