// Every kernel, declared once. Included inside namespace cpu and inside namespace cuda, so it has
// no guard and includes nothing: tensor.h and device.h come first.
//
// Order of parameters: outputs, inputs, sizes and options, stream. A tensor marked (?) may be
// absent. N tokens (rows), C channels, V vocabulary; images are NHWC, convolution weights
// [O, R, S, C / groups], linear weights [out, in]. Shapes and dtypes were checked in TypeScript.
// Unless said otherwise tensors are contiguous, outputs are overwritten. `activation`: 0 none, 1
// relu, 2 relu6, 3 gelu (erf), 4 silu. `rng` is int32 [3]: seed (low, high), step; with `tag` (one
// per call site) and the element's index it gives the counter of the random numbers, so that
// backward regenerates them.
//
// Dtypes. Activations, and weights of two axes and more, are all float32 or all bfloat16 in one
// call (bfloat16 not on the CPU); outputs and gradients of activations are like them. Everything
// else is float32: biases, weights of norms, statistics, losses, and the gradients of all weights.
// Sums are float32 either way.

// --- elementwise.cpp
void fill(Tensor out, float value, Stream& stream);  // any dtype but uint8
void copy(Tensor out, Tensor x,
          Stream& stream);  // same size, any two dtypes; x or out may have a row stride
void add(Tensor out, Tensor a, Tensor b, Stream& stream);
void accumulate(Tensor out, Tensor x, Stream& stream);               // out += x
void multiply(Tensor out, Tensor x, Tensor factor, Stream& stream);  // factor: [1] float32

// --- image.cpp
// out [B, H, W, C >= 3] = (x / 255 - mean) / std, channels beyond 3 zero. x uint8 [B, IH, IW, 3];
// mean, std [3]; crop(?) int32 [B, 5]: top, left, height, width in pixels of x, mirrored (0 or 1):
// bilinear; without it IH=H, IW=W.
void normalize_image(Tensor out, Tensor x, Tensor mean, Tensor std, Tensor crop, Stream& stream);

// --- convolution.cpp
// out [B, P, Q, O] = activation(x * weight + bias + residual), x [B, H, W, C], weight [O, R,
// S, C / groups]; bias(?) [O], residual(?) like out. Bottom and right padding follow from out's
// size. With groups = 1 x may have more channels than weight: they are ignored, and their dx is 0.
// constant: not 0 for a weight that stays as it is until drop_constant(constant); a backend may
// keep it in another layout as well.
void convolution(Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor residual, int stride,
                 int pad_top, int pad_left, int groups, int activation, int constant,
                 Stream& stream);
void drop_constant(int constant, Stream& stream);
// dx(?), dweight(?), dbias(?), dresidual(?); out is the forward's result (needed when there is an
// activation).
void convolution_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dresidual, Tensor dout,
                          Tensor x, Tensor weight, Tensor out, int stride, int pad_top,
                          int pad_left, int groups, int activation, Stream& stream);

// --- convolution_batch_norm.cpp
// y = x * weight; out = activation(gamma (y - mean) rstd + beta + residual(?)) with the statistics
// of this batch (over B, P, Q; biased variance), which are also mixed into running_mean and
// running_var (unbiased) by momentum. y(?) like out, mean(?) and rstd(?) [O] are outputs for the
// backward pass.
void convolution_batch_norm(Tensor out, Tensor y, Tensor mean, Tensor rstd, Tensor running_mean,
                            Tensor running_var, Tensor x, Tensor weight, Tensor gamma, Tensor beta,
                            Tensor residual, int stride, int pad_top, int pad_left, int groups,
                            int activation, float momentum, float epsilon, Stream& stream);
// dx(?), dweight(?), dgamma(?), dbeta(?), dresidual(?). out(?) is given when there was a residual
// (activations: none, relu, relu6). y is used up: it becomes its own gradient.
void convolution_batch_norm_backward(Tensor dx, Tensor dweight, Tensor dgamma, Tensor dbeta,
                                     Tensor dresidual, Tensor dout, Tensor out, Tensor y,
                                     Tensor mean, Tensor rstd, Tensor x, Tensor weight,
                                     Tensor gamma, Tensor beta, int stride, int pad_top,
                                     int pad_left, int groups, int activation, Stream& stream);
// folded_weight = weight gamma / sqrt(var + epsilon) per output channel, folded_bias = beta - mean
// gamma / sqrt(...): batch norm with running statistics as a plain convolution. folded_bias(?).
void fold_batch_norm(Tensor folded_weight, Tensor folded_bias, Tensor weight, Tensor gamma,
                     Tensor beta, Tensor mean, Tensor var, float epsilon, Stream& stream);

// --- pooling.cpp
// out [B, P, Q, C]: the maximum over windows of size x size; padding never wins.
void max_pool(Tensor out, Tensor x, int size, int stride, int pad, Stream& stream);
void max_pool_backward(Tensor dx, Tensor dout, Tensor x, Tensor out, int size, int stride, int pad,
                       Stream& stream);  // ties: the first maximum of the window
// out [B, P, Q, C]: the average of x [B, H, W, C] over rows floor(p H / P) .. ceil((p + 1) H / P)
// and columns alike.
void adaptive_average_pool(Tensor out, Tensor x, Stream& stream);
void adaptive_average_pool_backward(Tensor dx, Tensor dout, Stream& stream);

// --- channel_gate.cpp
// out = x sigmoid(gate): x [B, H, W, C], gate [B, C].
void channel_gate(Tensor out, Tensor x, Tensor gate, Stream& stream);
// dx(?), dgate(?).
void channel_gate_backward(Tensor dx, Tensor dgate, Tensor dout, Tensor x, Tensor gate,
                           Stream& stream);

// --- image_tokens.cpp
// out [B, 1 + P, C]: first [C] + positions[0], then x [B, P, C] + positions [1 + P, C] from 1 on.
void image_tokens(Tensor out, Tensor x, Tensor first, Tensor positions, Stream& stream);
// dx(?), dfirst(?), dpositions(?).
void image_tokens_backward(Tensor dx, Tensor dfirst, Tensor dpositions, Tensor dout,
                           Stream& stream);

// --- linear.cpp
// out [N, O] = activation(x weight^T + bias) + residual; x [N, C], weight [O, C], bias(?) [O],
// residual(?) [N, O]; pre(?) [N, O]: the values before the activation, for gelu and silu. out may
// be float32 beside bfloat16 inputs, without a residual (logits).
void linear(Tensor out, Tensor pre, Tensor x, Tensor weight, Tensor bias, Tensor residual,
            int activation, Stream& stream);
// dx(?), dweight(?), dbias(?). pre(?) as above; for relu and relu6 pre as well.
void linear_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x, Tensor weight,
                     Tensor pre, int activation, Stream& stream);

// --- norm.cpp
// Over the last axis. mean(?), rstd(?) [N]: for the backward pass.
void layer_norm(Tensor out, Tensor mean, Tensor rstd, Tensor x, Tensor weight, Tensor bias,
                float epsilon, Stream& stream);
void layer_norm_backward(Tensor dx, Tensor dweight, Tensor dbias, Tensor dout, Tensor x,
                         Tensor weight, Tensor mean, Tensor rstd, Stream& stream);
void rms_norm(Tensor out, Tensor rstd, Tensor x, Tensor weight, float epsilon, Stream& stream);
void rms_norm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, Tensor rstd,
                       Stream& stream);

// --- embedding.cpp
// out [N, C] = scale token_weight[tokens] + position_weight[positions]; tokens, positions(?) int32
// [N].
void embedding(Tensor out, Tensor tokens, Tensor positions, Tensor token_weight,
               Tensor position_weight, float scale, Stream& stream);
// dtoken_weight(?), dposition_weight(?): sums in a fixed order.
void embedding_backward(Tensor dtoken_weight, Tensor dposition_weight, Tensor dout, Tensor tokens,
                        Tensor positions, float scale, Stream& stream);

// --- dropout.cpp
// out = residual(?) + x mask / (1 - probability). The backward pass is the same call on dout.
void dropout(Tensor out, Tensor x, Tensor residual, Tensor rng, float probability, int tag,
             Stream& stream);

// --- attention.cpp
// Rows of text packed one after another: row r has queries query_offsets[r] .. query_offsets[r + 1]
// and looks at keys key_offsets[g] .. key_offsets[g + 1], g = r / rows_per_key (captions of one
// image share its keys). out [Nq, heads * size]; q, k, v may be column views (row stride). causal:
// query i of a row sees keys 0 .. i. Scale 1 / sqrt(size). log_sum_exp(?) [heads, Nq]: for the
// backward pass. rng absent or probability 0: no dropout. max_queries, max_keys: the longest row,
// known on the host.
void attention(Tensor out, Tensor log_sum_exp, Tensor q, Tensor k, Tensor v, Tensor query_offsets,
               Tensor key_offsets, Tensor rng, int heads, int rows_per_key, bool causal,
               float probability, int tag, int max_queries, int max_keys, Stream& stream);
// dq, dk, dv may be column views; every row of them is written.
void attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out,
                        Tensor log_sum_exp, Tensor q, Tensor k, Tensor v, Tensor query_offsets,
                        Tensor key_offsets, Tensor rng, int heads, int rows_per_key, bool causal,
                        float probability, int tag, int max_queries, int max_keys, Stream& stream);

// --- attention_cache.cpp
// One decoding step of self-attention with a cache. qkv [R, 3C] of the tokens at `position`
// (0-based); key_cache, value_cache [R, T, C]: row r's key and value are stored at [r, position]
// first. Then row r attends to positions p = 0 .. position, each read at [ancestors[r, p], p]
// (ancestors int32 [R, T]; absent: r itself).
void attend_cache(Tensor out, Tensor key_cache, Tensor value_cache, Tensor qkv, Tensor ancestors,
                  int heads, int position, Stream& stream);

// --- attention_weights.cpp
// out [Nq, S >= max_keys] float32: where each query of `attention` looks: softmax(q k^T /
// sqrt(size)), the mean over the heads; 0 beyond a row's keys. Not causal, no dropout.
void attention_weights(Tensor out, Tensor q, Tensor k, Tensor query_offsets, Tensor key_offsets,
                       int heads, int rows_per_key, int max_queries, int max_keys, Stream& stream);

// --- rotary.cpp
// out [N, C] = x with its first `columns` columns, taken as heads of `size` (even), turned by
// position: for i < size / 2 the pair of columns (2 i, 2 i + 1) of a head by the angle positions[n]
// theta^(-2 i / size), backwards when `inverse`; further columns are copied. out may be x.
void rotary(Tensor out, Tensor x, Tensor positions, int size, int columns, float theta,
            bool inverse, Stream& stream);

// --- swiglu.cpp
// out [N, F] = silu(gate) value, x [N, 2F] columns gate | value.
void swiglu(Tensor out, Tensor x, Stream& stream);
void swiglu_backward(Tensor dx, Tensor dout, Tensor x, Stream& stream);

// --- layer_scale.cpp
// out [N, C] = x scale + residual(?), scale [C] float32.
void layer_scale(Tensor out, Tensor x, Tensor scale, Tensor residual, Stream& stream);
void layer_scale_backward(Tensor dx, Tensor dscale, Tensor dout, Tensor x, Tensor scale,
                          Stream& stream);  // dx(?), dscale(?)

// --- attending_lstm.cpp
// An LSTM that looks at image cells before each step (Xu et al. 2015, arXiv:1502.03044,
// section 3.1, soft attention). Captions are packed: row r is tokens offsets[r] .. offsets[r + 1]
// of x [N, E], at most `longest` of them, and looks at the S cells of image b = r / rows_per_key:
// memory [B S, F] and their keys [B S, A]. From h0, c0 [B, D] on, at each token:
//   query = h decoder_weight^T + decoder_bias, gate = sigmoid(h gate_weight^T + gate_bias)
//   alpha = softmax over cells of score_weight . relu(keys + query); context = sum alpha memory
//   i, f, g, o = [x; gate context] input_weight^T + input_bias + h hidden_weight^T + hidden_bias
//   c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c)
// hidden [N, D], alpha [N, S]. For the backward pass, tokens in an order of the backend's own:
// query(?) [N, A], context(?) and gate(?) [N, F], gates(?) [N, 4D] after sigmoid and tanh, cells(?)
// float32 [N, D]. Weights [out, in], score_weight [1, A], input_weight [4D, E + F].
void attending_lstm(Tensor hidden, Tensor alpha, Tensor query, Tensor context, Tensor gate,
                    Tensor gates, Tensor cells, Tensor x, Tensor memory, Tensor keys, Tensor h0,
                    Tensor c0, Tensor decoder_weight, Tensor decoder_bias, Tensor score_weight,
                    Tensor gate_weight, Tensor gate_bias, Tensor input_weight, Tensor input_bias,
                    Tensor hidden_weight, Tensor hidden_bias, Tensor offsets, int rows_per_key,
                    int longest, Stream& stream);
// The 14 gradients (?); dinput_bias and dhidden_bias are the same numbers.
void attending_lstm_backward(Tensor dx, Tensor dmemory, Tensor dkeys, Tensor dh0, Tensor dc0,
                             Tensor ddecoder_weight, Tensor ddecoder_bias, Tensor dscore_weight,
                             Tensor dgate_weight, Tensor dgate_bias, Tensor dinput_weight,
                             Tensor dinput_bias, Tensor dhidden_weight, Tensor dhidden_bias,
                             Tensor dhidden, Tensor dalpha, Tensor hidden, Tensor alpha,
                             Tensor query, Tensor context, Tensor gate, Tensor gates, Tensor cells,
                             Tensor x, Tensor memory, Tensor keys, Tensor h0, Tensor c0,
                             Tensor decoder_weight, Tensor score_weight, Tensor gate_weight,
                             Tensor input_weight, Tensor hidden_weight, Tensor offsets,
                             int rows_per_key, int longest, Stream& stream);
// The weights in an order of the backend's own, for the steps of decoding. packed: one axis, room
// for [A, D], [F, D], [4D, D], [4D, E] and [4D, F] with all sizes rounded up to multiples of 64.
void attending_lstm_pack(Tensor packed, Tensor decoder_weight, Tensor gate_weight,
                         Tensor input_weight, Tensor hidden_weight, Stream& stream);
// One step of it for R = B rows_per_key rows while decoding: hidden [R, D] after feeding x [R, E]
// at `position` (0-based). states [2, R, D] and cells float32 [2, R, D]: the rows at position are
// written to [position % 2], those before it are read from the other half, row r's at
// ancestors[r, position - 1] (int32 [R, T]; absent: r itself); at position 0 they are h0 and c0.
// packed as of attending_lstm_pack; the CPU does without where rows are few (?).
void attending_lstm_step(Tensor hidden, Tensor states, Tensor cells, Tensor x, Tensor memory,
                         Tensor keys, Tensor h0, Tensor c0, Tensor packed, Tensor decoder_weight,
                         Tensor decoder_bias, Tensor score_weight, Tensor gate_weight,
                         Tensor gate_bias, Tensor input_weight, Tensor input_bias,
                         Tensor hidden_weight, Tensor hidden_bias, Tensor ancestors,
                         int rows_per_key, int position, Stream& stream);

// --- attention_penalty.cpp
// Doubly stochastic attention (Xu et al. 2015, section 4.2.1): out [1] float32 = scale share mean
// over captions and cells of (1 - sum over time of alpha)^2; alpha [N, S], captions as offsets
// int32 [R + 1] say. Tokens with targets[n] = ignore_index do not count, nor do captions of nothing
// else; share: tokens that count / denominator[0]. sums float32 [R, S] and factor float32 [1] are
// for the backward pass.
void attention_penalty(Tensor out, Tensor sums, Tensor factor, Tensor alpha, Tensor offsets,
                       Tensor targets, Tensor denominator, int ignore_index, float scale,
                       Stream& stream);
void attention_penalty_backward(Tensor dalpha, Tensor dout, Tensor sums, Tensor factor,
                                Tensor offsets, Tensor targets, int ignore_index, Stream& stream);

// --- linear_cross_entropy.cpp
// logits = x weight^T + bias(?), never stored whole. Over tokens with targets[n] != ignore_index:
// token_loss(?) [N] = cross-entropy with label smoothing (0 where ignored), times token_weights(?)
// [N]; loss(?) [1] = sum of it / denominator[0]. rank(?) int32 [N]: how many classes have a larger
// logit than the target (0: top-1 is right; -1 where ignored). dx(?), dweight(?), dbias(?):
// gradients of loss, computed in the same pass.
void linear_cross_entropy(Tensor loss, Tensor token_loss, Tensor rank, Tensor dx, Tensor dweight,
                          Tensor dbias, Tensor x, Tensor weight, Tensor bias, Tensor targets,
                          Tensor token_weights, Tensor denominator, int ignore_index,
                          float label_smoothing, Stream& stream);

// --- optimizer.cpp
void gradient_norm(Tensor norm, Tensor grad,
                   Stream& stream);  // norm [1]: L2, fixed order of summation
// state [4]: learning rate, steps taken, steps skipped, skipped in a row. A finite norm takes a
// step, another skips.
void advance_step(Tensor state, Tensor norm, Stream& stream);
// One step of `rule`: 0 Adam, 1 AdaBelief, 2 SGD with momentum beta1 (v is absent). Weight decay is
// decoupled or added to the gradient; `rectify`: RAdam's step size (not for SGD). grad is scaled to
// norm <= clip_norm (0: never), then each element is clamped to +-clip_value (0: never); nothing
// when norm is not finite. learning_rate_scale multiplies state[0]. All flat [n]. half_weight(?):
// the new weights rounded to bfloat16.
void optimizer_step(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
                    Tensor state, int rule, bool decoupled, bool rectify, float learning_rate_scale,
                    float beta1, float beta2, float epsilon, float weight_decay, float clip_norm,
                    float clip_value, Stream& stream);
// average += (1 - d) (weight - average), d = min(decay, (1 + steps) / (10 + steps)) of the steps
// taken; nothing when the last step was skipped.
void average_weights(Tensor average, Tensor weight, Tensor state, float decay, Stream& stream);

// --- adjust_logits.cpp
// Rules on logits [R, V], in place, before a step chooses what follows the first `position` words
// of sequences int32 [R, T], seen in windows of the last of them. A word seen in the repetition
// window: its logit is divided by repetition_penalty where it is positive, multiplied where not
// (Keskar et al. 2019, arXiv:1909.05858, section 4.1). Then one seen count > 1 times in the
// frequency window: minus frequency_penalty (1 - 1 / count). A word that would complete an n-gram
// which is already there, n = no_repeat > 0: -infinity. forced(?) int32 [B, P], R a multiple of B:
// where forced[b, position] is a token (-1: free) all but this one become -infinity instead.
// The same logits give the same bits on every backend.
void adjust_logits(Tensor logits, Tensor sequences, Tensor forced, int position,
                   float repetition_penalty, int repetition_window, float frequency_penalty,
                   int frequency_window, int no_repeat, Stream& stream);

// --- search.cpp
// One step of beam search over B images with K live beams each; R = B K rows, T the most tokens.
// logits [R, V] of the tokens just fed at `position` (0-based; at 0 only beam 0 of each image
// counts). In and out: scores [R] summed log-probability (-infinity: no such beam); tokens int32
// [R] next tokens to feed; sequences int32 [R, T]; ancestors int32 [R, T]: the cache row that holds
// each position of beam r, in the beginning r everywhere. A new beam takes those of its parent
// before `position` and the parent's own row at it. finished_* [B, K]: the best ended captions,
// best first, score = log-probability / length^length_penalty (length counts the end token;
// -infinity: none), sequences [B, K, T], lengths int32 without the end token; done int32 [B]: 1
// when K captions ended and the best live beam, divided by its present length^length_penalty, does
// not beat the worst of them, or when no beam lives. Such an image is left alone from then on. Of
// the best 2K candidates in order (equal scores: the lower beam, then the lower token first) those
// that end are kept when they are among the first K, the others become the K beams. Words of
// min_tokens: the end token is forbidden before that many. forbidden(?) ids (pad, bos, unk) never
// appear.
void beam_step(Tensor scores, Tensor tokens, Tensor sequences, Tensor ancestors,
               Tensor finished_scores, Tensor finished_sequences, Tensor finished_lengths,
               Tensor done, Tensor logits, Tensor forbidden, int beams, int position, int end_token,
               int min_tokens, float length_penalty, Stream& stream);

// --- sample.cpp
// One step of sampling for R rows, T the most tokens. logits float32 [R, V] of the tokens just fed
// at `position` (0-based). What may come: all but forbidden(?) ids, and the end token only after
// min_tokens words; of these the top_k most probable (0: all); of these the fewest most probable
// whose probability reaches top_p (1: all); of these the fewest most typical whose probability
// reaches typical_p (1: all); of these the most_typical most typical (0: all). A token is the more
// typical the nearer its -log probability is to the entropy, both among what top_p left (Meister et
// al. 2022, arXiv:2202.00666). Equal ones: the lower id first. One of them is drawn by
// softmax(logits / temperature), temperature > 0, with the random numbers of the row's key, seeds
// int32 [R, 2] (low, high), and the position; no other row matters. In and out: tokens int32 [R]
// next to feed; sequences int32 [R, T]; lengths int32 [R] without the end token; scores [R] summed
// log-probability under softmax(logits) over all tokens; done int32 [R]: 1 once the row has ended,
// from then on it feeds the end token and is left alone. A row ends with score -infinity where no
// token may come, or where a logit is NaN or +infinity. The same logits give the same tokens on
// every backend.
void sample_step(Tensor tokens, Tensor sequences, Tensor scores, Tensor lengths, Tensor done,
                 Tensor logits, Tensor seeds, Tensor forbidden, int position, int end_token,
                 int min_tokens, float temperature, int top_k, float top_p, float typical_p,
                 int most_typical, Stream& stream);
