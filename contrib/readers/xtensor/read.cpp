// Reads .npy files with xtensor, for `contrib/readers/run`: for each path on standard input, a line of JSON on standard
// output. The first line says which version of xtensor it is.

#include <complex>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>

#include <xtensor/xarray.hpp>
#include <xtensor/xnpy.hpp>

template <class T>
std::string read(const std::string& path, const char* dtype) {
    auto array = xt::load_npy<T, xt::layout_type::dynamic>(path);
    std::string answer = "{\"shape\": [";
    for (std::size_t axis = 0; axis < array.dimension(); axis++)
        answer += (axis ? ", " : "") + std::to_string(array.shape(axis));
    answer += "], \"dtype\": \"" + std::string(dtype) + "\", \"bytes\": \"";
    for (auto at = array.template begin<xt::layout_type::row_major>(); at != array.template end<xt::layout_type::row_major>(); ++at) {
        const T element = *at;
        unsigned char bytes[sizeof element];
        std::memcpy(bytes, &element, sizeof element);
        for (unsigned char byte : bytes) {
            answer += "0123456789abcdef"[byte >> 4];
            answer += "0123456789abcdef"[byte & 15];
        }
    }
    return answer + "\"}";
}

// By whichever of the types does it: xtensor must be told one.
std::string read(const std::string& path) {
    using Reader = std::string (*)(const std::string&, const char*);
    const std::pair<Reader, const char*> readers[] = {
        {read<bool>, "|b1"}, {read<std::int8_t>, "|i1"}, {read<std::uint8_t>, "|u1"},
        {read<std::int16_t>, "<i2"}, {read<std::uint16_t>, "<u2"}, {read<std::int32_t>, "<i4"},
        {read<std::uint32_t>, "<u4"}, {read<std::int64_t>, "<i8"}, {read<std::uint64_t>, "<u8"},
        {read<float>, "<f4"}, {read<double>, "<f8"}, {read<std::complex<float>>, "<c8"},
        {read<std::complex<double>>, "<c16"},
    };
    for (const auto& [reader, dtype] : readers) {
        try {
            return reader(path, dtype);
        } catch (const std::exception&) {
            // It is another one.
        }
    }
    return "{\"error\": \"none of the types reads it\"}";
}

int main() {
    std::cout << XTENSOR_VERSION_MAJOR << '.' << XTENSOR_VERSION_MINOR << '.' << XTENSOR_VERSION_PATCH << std::endl;
    for (std::string path; std::getline(std::cin, path);) std::cout << read(path) << std::endl;
}
