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
void convolution(Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor residual, int stride,
                 int pad_top, int pad_left, int groups, int activation, Stream& stream);
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
// out [B, P, Q, C] over windows of size x size; padding never wins (max) and is not counted
// (average).
void max_pool(Tensor out, Tensor x, int size, int stride, int pad, Stream& stream);
void max_pool_backward(Tensor dx, Tensor dout, Tensor x, Tensor out, int size, int stride, int pad,
                       Stream& stream);  // ties: the first maximum of the window
void average_pool(Tensor out, Tensor x, int size, int stride, int pad, Stream& stream);
void average_pool_backward(Tensor dx, Tensor dout, int size, int stride, int pad, Stream& stream);

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
// One decoding step of self-attention with a cache. qkv [R, 3C] of the tokens at `position`
// (0-based); key_cache, value_cache [R, T, C]: row r's key and value are stored at [r, position]
// first. Then row r attends to positions p = 0 .. position, each read at [ancestors[r, p], p]
// (ancestors int32 [R, T]; absent: r itself).
void attend_cache(Tensor out, Tensor key_cache, Tensor value_cache, Tensor qkv, Tensor ancestors,
                  int heads, int position, Stream& stream);

// --- linear_cross_entropy.cpp
// logits = x weight^T + bias(?), never stored whole. Over tokens with targets[n] != ignore_index:
// token_loss(?) [N] = cross-entropy with label smoothing (0 where ignored); loss(?) [1] = sum of it
// / denominator[0]. rank(?) int32 [N]: how many classes have a larger logit than the target (0:
// top-1 is right; -1 where ignored). dx(?), dweight(?), dbias(?): gradients of loss, computed in
// the same pass.
void linear_cross_entropy(Tensor loss, Tensor token_loss, Tensor rank, Tensor dx, Tensor dweight,
                          Tensor dbias, Tensor x, Tensor weight, Tensor bias, Tensor targets,
                          Tensor denominator, int ignore_index, float label_smoothing,
                          Stream& stream);

// --- optimizer.cpp
void gradient_norm(Tensor norm, Tensor grad,
                   Stream& stream);  // norm [1]: L2, fixed order of summation
// state [4]: learning rate, steps taken, steps skipped, skipped in a row. A finite norm takes a
// step, another skips.
void advance_step(Tensor state, Tensor norm, Stream& stream);
// Decoupled weight decay (Loshchilov and Hutter 2019); grad scaled to norm <= clip_norm (0: never);
// nothing when norm is not finite. learning_rate_scale multiplies state[0]. All flat [n].
// half_weight(?): the new weights rounded to bfloat16.
void adamw(Tensor weight, Tensor half_weight, Tensor m, Tensor v, Tensor grad, Tensor norm,
           Tensor state, float learning_rate_scale, float beta1, float beta2, float epsilon,
           float weight_decay, float clip_norm, Stream& stream);

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
// whose probability reaches top_p (1: all). Equal logits: the lower id first. One of them is drawn
// by softmax(logits / temperature), temperature > 0, with the random numbers of the row's key,
// seeds int32 [R, 2] (low, high), and the position; no other row matters. In and out: tokens int32
// [R] next to feed; sequences int32 [R, T]; lengths int32 [R] without the end token; scores [R]
// summed log-probability under softmax(logits) over all tokens; done int32 [R]: 1 once the row has
// ended, from then on it feeds the end token and is left alone. A row ends with score -infinity
// where no token may come, or where a logit is NaN or +infinity. The same logits give the same
// tokens on every backend.
void sample_step(Tensor tokens, Tensor sequences, Tensor scores, Tensor lengths, Tensor done,
                 Tensor logits, Tensor seeds, Tensor forbidden, int position, int end_token,
                 int min_tokens, float temperature, int top_k, float top_p, Stream& stream);
