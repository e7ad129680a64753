"""What can be measured of any film without a model: seam jump, flicker, motion, drift of colour and contrast.

Frames are uint8 (height, width, 3), RGB, and streamed: three are held at a time. Grey levels are those of 8 bits,
0 to 255; luma is BT.709's.

measure         of     unit         definition
difference      frame  grey levels  mean absolute difference from the frame before
flicker         frame  grey levels  how far pixels go one way and come back within two frames, mean over all
motion          frame  px a frame   median displacement of the blocks that are elsewhere than one frame before
moving share    frame  0 to 1       how much of the picture such blocks are
brightness      frame  grey levels  mean luma
contrast        frame  grey levels  standard deviation of luma
colour drift    frame  grey levels  how far the means of red, green and blue are from those of the first second of the
                                    take, mean over the three
contrast drift  frame  grey levels  contrast less that of the first second of the take, with its sign
seam jump       seam   1            difference at the first frame of a segment that goes on after another, over the
                                    mean difference inside the two: 1 where the join does not show

A take is a chain of segments without a cut. Of a segment all are means over its frames, those left out that are at its
first or last frame and look into another segment; of the film, over all that count in its segments.
"""

from ursa_ray.measures.frames import measure_frames
from ursa_ray.measures.motion import measure_motion
from ursa_ray.measures.parts import Part, film_figures, measure_parts, with_drift
from ursa_ray.measures.plot import plot_frames

__all__ = ["Part", "film_figures", "measure_frames", "measure_motion", "measure_parts", "plot_frames", "with_drift"]
