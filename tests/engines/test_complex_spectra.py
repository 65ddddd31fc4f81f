"""Complex spectra, frequency first: transforms by the FFT library in chunks, and their products."""

import pytest
import torch

from flexkern.engines import ConvProblem
from flexkern.engines.choice.candidates import candidates
from flexkern.engines.spectral import fft
from flexkern.engines.spectral.fft import FrequencyFirstTransform
from flexkern.engines.spectral.products import DenseComplex
from flexkern.engines.spectral.tiling import tile_problem


@pytest.mark.parametrize("lengths", [(24,), (8, 10), (4, 6, 8)])
@pytest.mark.parametrize("chunk_bytes", [1, 2**20])
def test_chunks_make_no_difference(lengths, chunk_bytes, monkeypatch):
    monkeypatch.setattr(fft, "CHUNK_BYTES", chunk_bytes)
    transform, positions = FrequencyFirstTransform(lengths), tuple(range(-1, n - 2) for n in lengths)
    samples = torch.randn(5, 7, *(len(p) for p in positions), dtype=torch.float64)
    whole_transform = FrequencyFirstTransform(lengths, recorded=True)
    spectrum = whole_transform.analyse(samples, positions)
    with torch.no_grad():
        chunked = transform.analyse(samples, positions)
        restored = transform.synthesise(chunked, positions)
    whole = torch.zeros(5, 7, *lengths, dtype=torch.float64)
    whole[(..., *(slice(0, len(p)) for p in positions))] = samples
    shifted = torch.roll(whole, tuple(p.start for p in positions), tuple(range(-len(lengths), 0)))
    axes = tuple(range(-len(lengths), 0))
    expected = torch.fft.rfftn(shifted, dim=axes).flatten(2).permute(2, 0, 1)
    assert torch.allclose(spectrum, expected, atol=1e-12)
    assert torch.allclose(chunked, expected, atol=1e-12)
    assert chunked.is_contiguous()
    assert torch.allclose(restored, samples, atol=1e-12)
    assert torch.allclose(whole_transform.synthesise(spectrum, positions), samples, atol=1e-12)


def test_results_are_written_into_any_tensor():
    transform, positions = FrequencyFirstTransform((16,)), (range(12),)
    samples = torch.randn(3, 4, 12, dtype=torch.float64)
    with torch.no_grad():
        spectrum = transform.analyse(samples, positions)
        for into in (torch.empty(3, 4, 12, dtype=torch.float64), torch.empty(3, 12, 4, dtype=torch.float64).mT):
            assert transform.synthesise(spectrum, positions, into) is into
            assert torch.allclose(into, samples, atol=1e-12)


@pytest.mark.parametrize(("ins", "outs"), [(1, 1), (1, 5), (4, 1), (4, 5), (5, 4)])
@pytest.mark.parametrize("batch", [1, 3])
def test_products_are_sums_over_one_index(ins, outs, batch):
    x, y, w = (torch.randn(7, *shape, dtype=torch.complex128) for shape in ((batch, ins), (batch, outs), (outs, ins)))
    product = DenseComplex()
    with torch.no_grad():
        assert torch.allclose(
            product.forward(x, product.conjugate(w.clone())), torch.einsum("fbi,foi->fbo", x, w.conj())
        )
        of_signal = torch.einsum("fbo,foi->fbi", y, w)
        assert torch.allclose(product.input_gradient(y, w), of_signal)
        into = torch.empty_like(x)
        assert product.input_gradient(y, w, into) is into
        assert torch.allclose(into, of_signal)
        of_kernel = torch.einsum("fbi,fbo->foi", x, y.conj())
        total = product.weight_gradient(x, y)
        assert torch.allclose(total, of_kernel)
        assert torch.allclose(product.weight_gradient(x, y, total), 2 * of_kernel)


def test_blocks_fill_the_transforms_of_the_library():
    problem = ConvProblem(2, 30, 30, (16_000,), (1301,), padding=((1300, 0),))
    plans = [plan for plan in candidates(problem, "overlap_save") if not plan.matrices]
    assert plans
    for plan in plans:
        assert tile_problem(problem, plan.tile).minimum_lengths == plan.lengths
